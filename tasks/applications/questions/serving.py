"""Find answers: part of every registered model for questions; it imports nothing of onestep.

:mod:`tasks.predictor` loads this file from the model's own folder. Training cuts its windows and
reads its spans here too, so that validation and the registered model agree; torch is imported
where it is used, since cutting windows does without.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Row = dict[str, Any]
OUTSIDE = -1
"""Offset of a token that is not of the context."""
IMPOSSIBLE = -1e9


class Windows(NamedTuple):
    """Pieces of contexts, each behind its question and short enough for the model."""

    rows: list[int]
    """The row of each window, ascending; the windows of a row in the order of its context."""
    input_ids: list[list[int]]
    token_types: list[list[int]]
    starts: list[list[int]]
    """The first character of each token in its context."""
    ends: list[list[int]]
    """The character after each token's last."""
    nulls: list[int]
    """The token that stands for having no answer."""
    questions_cut: int
    """How many questions were too long."""


class Span(NamedTuple):
    """A candidate: the sum of its two logits, and its characters in the context."""

    score: float
    start: int
    end: int


def cut_windows(
    tokenizer: Any, questions: Sequence[str], contexts: Sequence[str], max_length: int, stride: int
) -> Windows:
    """Tokenize pairs into windows of ``max_length`` tokens that share ``stride`` tokens.

    A question gets at most half of a window. Windows share at most half of the room that their
    question leaves, so that each one reaches further.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    shortened = _shortened(tokenizer, questions, (max_length - special) // 2)
    shared = [min(stride, (max_length - special - length) // 2) for _, length in shortened]
    found: list[tuple[int, Any]] = []
    for width in set(shared):
        rows = [row for row, own in enumerate(shared) if own == width]
        tokens = tokenizer(
            [shortened[row][0] for row in rows],
            [contexts[row] for row in rows],
            truncation="only_second",
            max_length=max_length,
            stride=width,
            return_overflowing_tokens=True,
        )
        origins = tokens["overflow_to_sample_mapping"]
        found += [(rows[at], one) for at, one in zip(origins, tokens.encodings, strict=True)]
    found.sort(key=lambda pair: pair[0])
    offsets = [_offsets(encoding, contexts[row]) for row, encoding in found]
    return Windows(
        rows=[row for row, _ in found],
        input_ids=[encoding.ids for _, encoding in found],
        token_types=[encoding.type_ids for _, encoding in found],
        starts=[[start for start, _ in spans] for spans in offsets],
        ends=[[end for _, end in spans] for spans in offsets],
        nulls=[_null(tokenizer, encoding.ids) for _, encoding in found],
        questions_cut=sum(a != b for (a, _), b in zip(shortened, questions, strict=True)),
    )


def _shortened(tokenizer: Any, questions: Sequence[str], longest: int) -> list[tuple[str, int]]:
    """Each question as far as ``longest`` tokens go, and how many it has."""
    encodings = _bare(tokenizer, questions)
    return [
        (text, len(encoding)) if len(encoding) <= longest else _shorter(tokenizer, text, longest)
        for text, encoding in zip(questions, encodings, strict=True)
    ]


def _shorter(tokenizer: Any, question: str, longest: int) -> tuple[str, int]:
    offsets = _bare(tokenizer, [question])[0].offsets
    # The end of what is left may be tokenized differently, into more tokens than before.
    for keep in range(longest, 0, -1):
        text = question[: offsets[keep - 1][1]]
        length = len(_bare(tokenizer, [text])[0])
        if length <= longest:
            return text, length
    return "", 0


def _bare(tokenizer: Any, texts: Sequence[str]) -> Any:
    return tokenizer(list(texts), add_special_tokens=False, verbose=False).encodings


def _offsets(encoding: Any, context: str) -> list[tuple[int, int]]:
    return [
        _trimmed(context, start, end) if part == 1 else (OUTSIDE, OUTSIDE)
        for (start, end), part in zip(encoding.offsets, encoding.sequence_ids, strict=True)
    ]


def _trimmed(context: str, start: int, end: int) -> tuple[int, int]:
    """A token's characters without white space, with the marks that combine with its last one."""
    while start < end and context[start].isspace():
        start += 1
    while start < end and context[end - 1].isspace():
        end -= 1
    if start >= end:
        return OUTSIDE, OUTSIDE
    while end < len(context) and context[end] > "\u02ff" and _combines(context[end]):
        end += 1
    return start, end


def _combines(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _null(tokenizer: Any, ids: list[int]) -> int:
    for special in (tokenizer.cls_token_id, tokenizer.bos_token_id):
        if special in ids:
            return ids.index(special)
    return 0


def find_spans(
    logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, longest: int, n_best: int
) -> list[list[Span]]:
    """The best spans of each window, best first: exact, over all pairs of a start and an end.

    Args:
        logits: of shape (windows, 2, length): starts and ends.
        starts: first characters of the tokens, of shape (windows, length).
        ends: characters after them, of the same shape.
        longest: tokens of the longest answer.
        n_best: how many spans.
    """
    import torch

    logits, starts, ends = logits.float(), starts.to(logits.device), ends.to(logits.device)
    length = starts.shape[1]
    longest = min(longest, length)
    first, last = logits.masked_fill((starts < 0)[:, None], IMPOSSIBLE).unbind(1)
    padded = torch.nn.functional.pad(last, (0, longest - 1), value=IMPOSSIBLE)
    sums = (first[:, :, None] + padded.unfold(1, longest, 1)).flatten(1)
    scores, places = sums.topk(min(n_best, sums.shape[1]))
    begins, widths = places // longest, places % longest
    finishes = (begins + widths).clamp(max=length - 1)
    found = zip(
        scores.tolist(),
        starts.gather(1, begins).tolist(),
        ends.gather(1, finishes).tolist(),
        strict=True,
    )
    return [
        sorted(
            (Span(*span) for span in zip(*one, strict=True) if span[0] > IMPOSSIBLE / 2), key=rank
        )
        for one in found
    ]


def rank(span: Span) -> tuple[float, int, int]:
    """The order of spans of all windows: by score, then from left to right."""
    return -span.score, span.start, span.end


def null_scores(logits: torch.Tensor, nulls: torch.Tensor) -> list[float]:
    """The score of having no answer in each window."""
    places = nulls.to(logits.device)[:, None, None].expand(-1, 2, 1)
    scores: list[float] = logits.float().gather(2, places).sum((1, 2)).tolist()
    return scores


def choose(spans: list[Span], null: float, context: str, settings: Row) -> Row:
    """The answer of a row, from the spans of all its windows.

    As in the official run_squad: candidates with the same text count once, the score is a softmax
    over them (and over having no answer, where that may be), and the answer is unknown if having
    none leads by more than the threshold.
    """
    unique: dict[str, Span] = {}
    for span in sorted(spans, key=rank):
        unique.setdefault(context[span.start : span.end], span)
    kept = list(unique.values())[: settings["n_best"]]
    open_ended = settings["unanswerable"] or not kept
    best = kept[0] if kept else Span(-math.inf, OUTSIDE, OUTSIDE)
    threshold = settings.get("null_threshold", 0.0)
    known = bool(kept) and not (settings["unanswerable"] and null - best.score > threshold)
    total = _log_sum([span.score for span in kept] + ([null] if open_ended else []))
    return {
        "answer": context[best.start : best.end] if known else "",
        "score": math.exp((best.score if known else null) - total),
        "start": best.start if known else OUTSIDE,
        "end": best.end if known else OUTSIDE,
        "answered": known,
    }


def _log_sum(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def describe(settings: Row) -> tuple[Row, Row, Row]:
    """Input columns, output columns, and an example of an input, for the signature."""
    example = {
        "context": "Parcels may be sent back within thirty days of their arrival.",
        "question": "How long may I keep a parcel before I send it back?",
    }
    outputs = {
        "answer": "string",
        "score": "double",
        "start": "long",
        "end": "long",
        "answered": "boolean",
    }
    return dict.fromkeys(example, "string"), outputs, example


class Model:
    """A fine-tuned reader."""

    def __init__(self, folder: Path, settings: Row, device: torch.device, **options: Any) -> None:
        from transformers import AutoModelForQuestionAnswering, PreTrainedTokenizerFast

        self.settings = settings
        self.device = device
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        model = AutoModelForQuestionAnswering.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, **options
        )
        self.model = model.to(device).eval()

    def answer(self, rows: list[Row]) -> list[Row]:
        """The answer with its characters in the context; empty, at -1, if there is none."""
        windows = cut_windows(
            self.tokenizer,
            [self.settings["prefix"] + row["question"] for row in rows],
            [row["context"] for row in rows],
            self.settings["max_length"],
            self.settings["stride"],
        )
        spans: list[list[Span]] = [[] for _ in rows]
        nulls = [math.inf] * len(rows)
        size = self.settings["batch_size"]
        for start in range(0, len(windows.rows), size):
            part = slice(start, start + size)
            found = self._read(windows, part)
            for row, candidates, null in zip(windows.rows[part], *found, strict=True):
                spans[row] += candidates
                nulls[row] = min(nulls[row], null)
        return [
            choose(spans[at], nulls[at], row["context"], self.settings)
            for at, row in enumerate(rows)
        ]

    def _read(self, windows: Windows, part: slice) -> tuple[list[list[Span]], list[float]]:
        import torch

        inputs = {"input_ids": _padded(windows.input_ids[part], self.tokenizer.pad_token_id)}
        inputs["attention_mask"] = _padded([[1] * len(ids) for ids in windows.input_ids[part]], 0)
        if self.settings["token_types"]:
            inputs["token_type_ids"] = _padded(windows.token_types[part], 0)
        output = self.model(**{name: value.to(self.device) for name, value in inputs.items()})
        logits = torch.stack([output.start_logits, output.end_logits], 1)
        starts, ends = (_padded(side[part], OUTSIDE) for side in (windows.starts, windows.ends))
        settings = self.settings
        spans = find_spans(logits, starts, ends, settings["max_answer_length"], settings["n_best"])
        return spans, null_scores(logits, torch.tensor(windows.nulls[part]))


def _padded(values: list[list[int]], fill: int) -> torch.Tensor:
    import torch

    tensors = [torch.tensor(row) for row in values]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)
