"""Find entities: part of every registered model for entities; it imports nothing of onestep.

:mod:`tasks.predictor` loads this file from the model's own folder. Training cuts its windows and
reads its entities here too, so that validation and the registered model agree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Row = dict[str, Any]
OUTSIDE = -1
"""Offset of a token that is not of the text, or of white space only."""
IMPOSSIBLE = -1e9


class Windows(NamedTuple):
    """Pieces of texts, short enough for the model."""

    rows: list[int]
    """The row of each window, ascending; the windows of a row in the order of its text."""
    input_ids: list[list[int]]
    starts: list[list[int]]
    """The first character of each token in its text."""
    ends: list[list[int]]
    """The character after each token's last."""
    begins: list[int]
    """The first character of each window's own part of the text, in which its entities begin."""
    stops: list[int]
    """The first character after each window's own part."""


class Entity(NamedTuple):
    """A found entity: its characters in the text, its type, and its probability."""

    start: int
    end: int
    label: str
    score: float


def cut_windows(tokenizer: Any, texts: Sequence[str], max_length: int, stride: int) -> Windows:
    """Tokenize texts into windows of ``max_length`` tokens that share ``stride`` tokens.

    Windows share at most half of their tokens, so that each one reaches further. Each character
    belongs to one window: the overlap of two windows is divided in the middle.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(pair=False)
    tokens = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        stride=min(stride, room // 2),
        return_overflowing_tokens=True,
    )
    rows = list(tokens["overflow_to_sample_mapping"])
    pairs = list(zip(rows, tokens.encodings, strict=True))
    offsets = [_offsets(encoding, texts[row]) for row, encoding in pairs]
    begins = _begins(rows, offsets)
    last = [at + 1 == len(rows) or rows[at + 1] != row for at, row in enumerate(rows)]
    return Windows(
        rows=rows,
        # Some tokenizers return no token for an empty text, which models cannot read.
        input_ids=[encoding.ids or [tokenizer.pad_token_id] for _, encoding in pairs],
        starts=[[start for start, _ in spans] for spans in offsets],
        ends=[[end for _, end in spans] for spans in offsets],
        begins=begins,
        stops=[len(texts[row]) if last[at] else begins[at + 1] for at, row in enumerate(rows)],
    )


def _begins(rows: list[int], offsets: list[list[tuple[int, int]]]) -> list[int]:
    """Where each window's own part of its text begins."""
    begins = []
    for at, row in enumerate(rows):
        if not at or rows[at - 1] != row:
            begins.append(0)
            continue
        own = [start for start, _ in offsets[at] if start != OUTSIDE]
        reached = max((end for _, end in offsets[at - 1]), default=0)
        shared = [start for start in own if start < reached]
        middle = own[len(shared) // 2 : len(shared) // 2 + 1] or [reached]
        begins.append(max(middle[0], begins[-1]))
    return begins


def _offsets(encoding: Any, text: str) -> list[tuple[int, int]]:
    offsets = [
        _trimmed(text, start, end) if part == 0 else (OUTSIDE, OUTSIDE)
        for (start, end), part in zip(encoding.offsets, encoding.sequence_ids, strict=True)
    ]
    return offsets or [(OUTSIDE, OUTSIDE)]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's characters without white space, with the marks that combine with its last one."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start >= end:
        return OUTSIDE, OUTSIDE
    while end < len(text) and text[end] > "\u02ff" and _combines(text[end]):
        end += 1
    return start, end


def _combines(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def find_entities(
    logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, types: Sequence[str]
) -> list[list[Entity]]:
    """The entities on the most probable sequence of tags that BIO allows (Viterbi 1967).

    Args:
        logits: of shape (windows, length, 1 + 2 types): O, then B and I of each type.
        starts: first characters of the tokens, of shape (windows, length); negative outside of the
            text.
        ends: characters after them, of the same shape.
        types: in the order of the logits.
    """
    import torch

    starts, ends = starts.to(logits.device), ends.to(logits.device)
    # Tokens of the text first: the others belong to no entity and divide none.
    order = (starts < 0).to(torch.int8).sort(dim=1, stable=True).indices
    starts, ends = starts.gather(1, order), ends.gather(1, order)
    scores = logits.float().log_softmax(-1)
    scores = scores.gather(1, order[..., None].expand_as(scores))
    tags = _best_tags(scores)
    chances = scores.gather(2, tags[..., None])[..., 0].exp()
    sides = zip(starts.tolist(), ends.tolist(), strict=True)
    paths = zip(tags.tolist(), chances.tolist(), sides, strict=True)
    return [list(_read(path, chance, *side, types)) for path, chance, side in paths]


def _best_tags(scores: torch.Tensor) -> torch.Tensor:
    """The best path through log-probabilities of shape (windows, length, tags)."""
    import torch

    length, tags = scores.shape[1:]
    inside = torch.arange(2, tags, 2, device=scores.device)
    blocked = torch.zeros(tags, tags, device=scores.device)
    blocked[:, inside] = IMPOSSIBLE
    blocked[inside - 1, inside] = 0
    blocked[inside, inside] = 0
    best = scores[:, 0].clone()
    best[:, inside] += IMPOSSIBLE
    sources = []
    for at in range(1, length):
        values, source = (best[:, :, None] + blocked).max(1)
        best = values + scores[:, at]
        sources.append(source)
    path = [best.argmax(1)]
    for source in reversed(sources):
        path.append(source.gather(1, path[-1][:, None])[:, 0])
    return torch.stack(path[::-1], 1)


def _read(
    tags: list[int],
    chances: list[float],
    starts: list[int],
    ends: list[int],
    types: Sequence[str],
) -> Iterable[Entity]:
    """Entities of one path; the score is the mean probability of its tags."""
    first = 0
    while first < len(tags) and starts[first] >= 0:
        last = first + 1
        if tags[first]:
            while last < len(tags) and starts[last] >= 0 and tags[last] and not tags[last] % 2:
                last += 1
            score = sum(chances[first:last]) / (last - first)
            label = types[(tags[first] - 1) // 2]
            yield Entity(min(starts[first:last]), max(ends[first:last]), label, score)
        first = last


def own(entities: Iterable[Entity], begin: int, stop: int) -> list[Entity]:
    """The entities that begin in their window's own part of the text."""
    return [entity for entity in entities if begin <= entity.start < stop]


def merge(entities: Iterable[Entity]) -> list[Entity]:
    """Entities of a text from left to right; of two that overlap, the more probable one."""
    merged: list[Entity] = []
    for entity in sorted(entities):
        if not merged or entity.start >= merged[-1].end:
            merged.append(entity)
        elif entity.score > merged[-1].score:
            merged[-1] = entity
    return merged


def describe(settings: Row) -> tuple[Row, Row, Row]:
    """Input columns, output columns, and an example of an input, for the signature."""
    parts = {"start": "long", "end": "long", "label": "string", "score": "double"}
    properties = {name: {"type": kind, "required": True} for name, kind in parts.items()}
    entities = {"type": "array", "items": {"type": "object", "properties": properties}}
    example = {"text": "Dana Whitlock ordered a lamp on 3 March."}
    return {"text": "string"}, {"entities": entities}, example


class Model:
    """A fine-tuned tagger."""

    def __init__(self, folder: Path, settings: Row, device: torch.device, **options: Any) -> None:
        from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast

        self.settings = settings
        self.device = device
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        model = AutoModelForTokenClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, **options
        )
        self.model = model.to(device).eval()

    def answer(self, rows: list[Row]) -> list[Row]:
        """The entities of each text: ``text[start:end]`` is one, of the type ``label``."""
        settings = self.settings
        windows = cut_windows(
            self.tokenizer,
            [row["text"] for row in rows],
            settings["max_length"],
            settings["stride"],
        )
        found: list[list[Entity]] = [[] for _ in rows]
        for start in range(0, len(windows.rows), settings["batch_size"]):
            part = slice(start, start + settings["batch_size"])
            sides = windows.rows[part], windows.begins[part], windows.stops[part]
            for row, begin, stop, entities in zip(*sides, self._tag(windows, part), strict=True):
                found[row] += own(entities, begin, stop)
        return [{"entities": [entity._asdict() for entity in merge(one)]} for one in found]

    def _tag(self, windows: Windows, part: slice) -> list[list[Entity]]:
        ids = windows.input_ids[part]
        inputs = {
            "input_ids": _padded(ids, self.tokenizer.pad_token_id),
            "attention_mask": _padded([[1] * len(one) for one in ids], 0),
        }
        logits = self.model(**{name: one.to(self.device) for name, one in inputs.items()}).logits
        starts, ends = (_padded(side[part], OUTSIDE) for side in (windows.starts, windows.ends))
        return find_entities(logits, starts, ends, self.settings["labels"])


def _padded(values: list[list[int]], fill: int) -> torch.Tensor:
    import torch

    tensors = [torch.tensor(row) for row in values]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)
