"""Questions about a text: find the answer in it, or say that it has none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.applications.base import (
    Batch,
    Column,
    Encoded,
    Facts,
    Head,
    Predictions,
    Reasons,
    Rewritten,
    View,
)
from tasks.applications.shared.defaults import Defaults

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.serving.questions import Windows
    from tasks.applications.shared.answer_scores import AnswerScorer
    from tasks.applications.shared.census import Census
    from tasks.applications.shared.codec import Codec

COLUMNS: Final = (
    Column("context", "text"),
    Column("question", "text"),
    Column("answers", "target", stored="answers"),
)
ANSWER_PARTS: Final = ("text", "answer_start")
TOKENS: Final = ("offset_start", "offset_end")
PLACES: Final = ("start", "end", "null", "row")
UNANSWERABLE_METRICS: Final = ("has_answer_f1", "has_answer_exact", "no_answer_accuracy")
SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。\uff01\uff1f])\s*|\n+")


class Questions(Defaults):
    """The application interface for a context and a question in, a span of the context out."""

    name = "questions"
    version = 1
    heads: tuple[Head, ...] = ("question-answering",)
    uses = frozenset({"answering", "contract.rules.answer_offset", "contract.rules.answer_missing"})
    serving = Path(__file__).parent / "serving" / "questions.py"

    def columns(self, data: Data) -> tuple[Column, ...]:
        """Context, question and answers."""
        return COLUMNS

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Those of the SQuAD scripts; the last ones need rows without an answer."""
        return ("f1", "exact_match", *UNANSWERABLE_METRICS)

    def headline(self, data: Data) -> str:
        """Overlap with the best answer."""
        return "f1"

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Refuse what only labels have."""
        loss = config.training.loss
        if config.data.labels is not None:
            yield "data.labels", "questions have answers and no labels; leave it out"
        if config.data.labelling != "single":
            yield "data.labelling", "questions have answers and no labels; leave it out"
        if loss.class_weights != "none":
            yield "training.loss.class_weights", "questions have no classes to weigh; leave it out"
        if loss.label_smoothing:
            reason = "the classes are positions, among them padding; questions cannot smooth them"
            yield "training.loss.label_smoothing", reason
        length, stride = config.model.max_length, config.answering.stride
        declared = "stride" in config.answering.model_fields_set
        if declared and isinstance(length, int) and stride > length // 2:
            reason = f"expected at most half of model.max_length, {length // 2}, found {stride}"
            yield "answering.stride", reason
        if config.evaluation.headline in UNANSWERABLE_METRICS and not config.answering.unanswerable:
            reason = f"{config.evaluation.headline} needs answering.unanswerable: true"
            yield "evaluation.headline", reason

    def settings(self, config: Pipeline) -> Facts:
        """How contexts are cut, answers found and compared."""
        section = config.answering
        return {
            "language": config.language.source,
            "stride": section.stride,
            "max_answer_length": section.max_answer_length,
            "n_best": section.n_best,
            "unanswerable": section.unanswerable,
        }

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Bring answers into SQuAD's flat layout; what cannot be read becomes JSON text."""
        import pandas as pd

        values = [canonical(value) for value in frame["answers"]]
        frame["answers"] = pd.Series(values, index=frame.index, dtype=object)

    def contract(self, config: Pipeline) -> DataFrameSchema:
        """Texts that are there, and answers with an offset each."""
        from pandera.pandas import Column as Checked
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import cell, text_column

        words = "expected `text` and `answer_start`, two lists of the same length"
        answers = Checked(object, [cell("wrong_type", words, _is_canonical)], nullable=False)
        return DataFrameSchema(
            {"context": text_column(), "question": text_column(), "answers": answers}
        )

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        """Answers that are not where they should be, and rows without one."""
        columns = frame.index, frame["context"], frame["answers"]
        found = {
            int(index): list(_complaints(context, answers, config.answering.unanswerable))
            for index, context, answers in zip(*columns, strict=True)
        }
        return {index: reasons for index, reasons in found.items() if reasons}

    def compared(self, data: Data) -> tuple[str, ...]:
        """Questions about one context, which many share."""
        return ("question",)

    def conflicts(self, data: Data) -> bool:
        """A question about a context has one set of answers."""
        return True

    def moved(self, target: Any, rewritten: Mapping[str, Rewritten]) -> Any:
        """Answers as they are in the rewritten context, if they were there before."""
        context = rewritten.get("context")
        if context is None or not _is_canonical(target):
            return target
        moved = [_moved(text, start, context) for text, start in zip(*target.values(), strict=True)]
        return {part: [answer[n] for answer in moved] for n, part in enumerate(ANSWER_PARTS)}

    def brief(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """Whether a row has an answer."""
        return frame["answers"].map(lambda answers: bool(answers["text"]))

    def problems(self, census: Census, facts: Facts, minimum: int) -> list[str]:
        """Training needs answers."""
        return [] if census.counts["train"].get(True) else ["no training row has an answer"]

    def tally(self, census: Census, facts: Facts) -> Facts:
        """Rows with and without an answer, by split."""
        answered = {split: counts.get(True, 0) for split, counts in census.counts.items()}
        without = {split: counts.get(False, 0) for split, counts in census.counts.items()}
        return {"answered": answered, "unanswered": without}

    def misfits(self, config: Pipeline, facts: Facts) -> Iterator[tuple[str, str]]:
        """The headline metric is about some rows of each split that it is taken of."""
        headline = config.evaluation.headline
        if headline not in UNANSWERABLE_METRICS:
            return
        for split in ("validation", "test"):
            for counts, words in (("answered", "with"), ("unanswered", "without")):
                if not facts[counts].get(split):
                    reason = f"no row of the {split} split is {words} an answer"
                    yield "evaluation.headline", f"{headline} needs such rows: {reason}"

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """The texts, and answers as two columns of lists."""
        import pyarrow as pa

        texts, starts = ([answers[part] for answers in frame["answers"]] for part in ANSWER_PARTS)
        return {
            "context": frame["context"].to_list(),
            "question": frame["question"].to_list(),
            "answer_texts": pa.array(texts, pa.list_(pa.string())),
            "answer_starts": pa.array(starts, pa.list_(pa.int32())),
        }

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """Contexts and questions."""
        return [*rows["context"], *rows["question"]], []

    def encode(self, rows: Mapping[str, list[Any]], codec: Codec, facts: Facts) -> Encoded:
        """Cut rows into windows, and mark the first answer in those that hold all of it."""
        from tasks.applications.serving.questions import cut_windows

        questions = [codec.prefix + question for question in rows["question"]]
        windows = cut_windows(
            codec.tokenizer, questions, rows["context"], codec.max_length, facts["stride"]
        )
        columns: dict[str, Sequence[Any]] = {
            "input_ids": windows.input_ids,
            "offset_start": windows.starts,
            "offset_end": windows.ends,
            "null": windows.nulls,
        }
        if codec.token_types:
            columns["token_type_ids"] = windows.token_types
        targets = _targets(rows, windows)
        columns["start"] = [start for start, _ in targets]
        columns["end"] = [end for _, end in targets]
        marked = zip(windows.rows, columns["start"], windows.nulls, strict=True)
        held = {row for row, start, null in marked if start != null}
        lost = sum(bool(texts) for texts in rows["answer_texts"]) - len(held)
        counts = {
            "windows": len(windows.rows),
            "answers outside every window": lost,
            "questions cut": windows.questions_cut,
        }
        return Encoded(columns, lost, windows.rows, counts)

    def objective(self, facts: Facts, loss: Loss) -> SpanLoss:
        """Cross-entropy or focal loss over start and end positions."""
        return SpanLoss(loss.focal_gamma if loss.name == "focal" else None)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad windows; what is padded is outside the context."""
        import torch

        from tasks.applications.shared.padding import pad

        ids, mask = pad(table["input_ids"], codec.pad_id)
        batch = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in table.column_names:
            batch["token_type_ids"] = pad(table["token_type_ids"], 0)[0]
        batch |= {name: pad(table[name], -1)[0] for name in TOKENS}
        places = (name for name in PLACES if name in table.column_names)
        return batch | {name: torch.tensor(table[name].to_pylist()) for name in places}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of starts and of ends, of shape (windows, 2, length)."""
        import torch

        names = ("input_ids", "attention_mask", "token_type_ids")
        output = model(**{name: batch[name] for name in names if name in batch})
        return torch.stack([output.start_logits, output.end_logits], 1)

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """The best span of each window; the scorer puts the windows of a row together."""
        from tasks.applications.serving import questions as decoder

        positions = batch["row"].cpu().numpy()
        table = view.rows.take(positions)
        contexts = table["context"].to_pylist()
        found = decoder.find_spans(
            outputs,
            batch["offset_start"],
            batch["offset_end"],
            view.facts["max_answer_length"],
            1,
        )
        best = [spans[0] if spans else None for spans in found]
        predictions = {
            "row": positions.tolist(),
            "answer": [
                context[span.start : span.end] if span else ""
                for context, span in zip(contexts, best, strict=True)
            ],
            "rank": [decoder.rank(span) if span else None for span in best],
            "null": decoder.null_scores(outputs, batch["null"]),
        }
        return {"answer_texts": table["answer_texts"].to_pylist()}, predictions

    def scorer(self, facts: Facts) -> AnswerScorer:
        """Exact match and F1."""
        from tasks.applications.shared.answer_scores import AnswerScorer

        return AnswerScorer(facts["language"], facts["unanswerable"])

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """Answers, whether they are known, and their probabilities."""
        return {name: predictions[name].to_list() for name in ("answer", "answered", "score")}

    def kinds(self, predictions: pd.DataFrame) -> list[str] | None:
        """Whether the answer is known."""
        return ["answered" if answered else "no answer" for answered in predictions["answered"]]

    def baseline_name(self, data: Data) -> str:
        """The sentence that the question's words point to."""
        return "best BM25 sentence"

    def baseline(self, frame: pd.DataFrame, facts: Facts) -> Predictions:
        """The sentence of the context that BM25 ranks first; the first one where none fits."""
        from tasks.text.retrieval import Ranking

        known: dict[str, tuple[list[str], Ranking]] = {}
        answers = []
        for context, question in zip(frame["context"], frame["question"], strict=True):
            if context not in known:
                parts = sentences(context)
                known[context] = (parts, Ranking(parts))
            parts, ranking = known[context]
            answers.append(parts[next(iter(ranking.best(question, 1)), 0)])
        rows = len(answers)
        return {"answer": answers, "answered": [True] * rows, "score": [1.0] * rows}


class SpanLoss:
    """The mean of the losses of start and end, as in Transformers, summed over windows."""

    expected_initial: float = math.log(384)

    def __init__(self, focal_gamma: float | None) -> None:
        self.focal_gamma = focal_gamma

    def weight(self, batch: Batch) -> torch.Tensor:
        """The number of windows."""
        import torch

        ids = batch["input_ids"]
        # A model that knows nothing spreads evenly over as many positions as the batch is long.
        self.expected_initial = math.log(ids.shape[1])
        return torch.tensor(float(len(ids)), device=ids.device)

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over windows of the mean of both losses."""
        import torch

        from tasks.applications.shared.losses import cross_entropy_sum

        targets = torch.stack([batch["start"], batch["end"]], 1)
        return cross_entropy_sum(outputs, targets, focal_gamma=self.focal_gamma) / 2


def canonical(value: object) -> object:
    """Answers as ``{"text": [...], "answer_start": [...]}``, or something that can be hashed.

    Read are that layout, a list of objects with both, and either as JSON text. Pandera counts the
    values that fail, so those must be hashable.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if not isinstance(value, list | tuple | dict):
        return value
    parts = _parts(value)
    return parts if _are_answers(parts) else json.dumps(value, default=str)


def _parts(value: Sequence[Any] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(value, dict):
        return {part: value.get(part) for part in ANSWER_PARTS}
    if not all(isinstance(answer, dict) for answer in value):
        return dict.fromkeys(ANSWER_PARTS)
    return {part: [answer.get(part) for answer in value] for part in ANSWER_PARTS}


def _are_answers(parts: dict[str, Any]) -> bool:
    texts, starts = (parts[part] for part in ANSWER_PARTS)
    return (
        isinstance(texts, list)
        and isinstance(starts, list)
        and len(texts) == len(starts)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(start, int) and not isinstance(start, bool) for start in starts)
    )


def _moved(text: str, start: int, context: Rewritten) -> tuple[str, int]:
    """An answer in the rewritten context; one that was not at its offset stays wrong."""
    if start < 0 or not text or not context.old.startswith(text, start):
        return text, start
    first, last = context.span(start, start + len(text))
    return (text, first) if first < 0 else (context.text[first:last], first)


def _is_canonical(value: object) -> bool:
    return isinstance(value, dict)


def _complaints(
    context: str, answers: dict[str, Any], unanswerable: bool
) -> Iterator[tuple[str, str]]:
    if not answers["text"] and not unanswerable:
        yield "answer_missing", "no answer, and answering.unanswerable is false"
    for number, (text, start) in enumerate(zip(*answers.values(), strict=True), 1):
        if not text.strip():
            yield "answer_offset", f"answer {number}: the text is empty"
        elif start < 0 or not context.startswith(text, start):
            where = _nearest(context, text, start)
            place = "it does not occur in the context" if where < 0 else f"it occurs at {where}"
            words = f"answer {number}: offset {start} does not point at the answer; {place}"
            yield "answer_offset", words


def _nearest(context: str, text: str, start: int) -> int:
    """Where a text occurs nearest to an offset; -1 if nowhere."""
    places = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(places, key=lambda place: abs(place - start), default=-1)


def _targets(rows: Mapping[str, list[Any]], windows: Windows) -> list[tuple[int, int]]:
    """First and last token of the answer in each window, or twice the null position."""
    last = len(windows.rows) - 1
    found = []
    for window, row in enumerate(windows.rows):
        null = windows.nulls[window]
        if not rows["answer_texts"][row]:
            found.append((null, null))
            continue
        text, begin = rows["answer_texts"][row][0], rows["answer_starts"][row][0]
        begin, end = begin + len(text) - len(text.lstrip()), begin + len(text.rstrip())
        edges = (
            window == 0 or windows.rows[window - 1] != row,
            window == last or windows.rows[window + 1] != row,
        )
        span = _tokens_of(windows.starts[window], windows.ends[window], (begin, end), edges)
        found.append(span or (null, null))
    return found


def _tokens_of(
    starts: list[int], ends: list[int], answer: tuple[int, int], edges: tuple[bool, bool]
) -> tuple[int, int] | None:
    """The fewest tokens that cover an answer, if the window reaches around all of it.

    The first and the last window reach to the edges of the context, even where characters there
    have no token.
    """
    begin, end = answer
    inside = [token for token, start in enumerate(starts) if start >= 0]
    if not inside:
        return None
    reaches_begin = edges[0] or starts[inside[0]] <= begin
    reaches_end = edges[1] or ends[inside[-1]] >= end
    covering = [token for token in inside if ends[token] > begin and starts[token] < end]
    if not (reaches_begin and reaches_end and covering):
        return None
    return covering[0], covering[-1]


def sentences(text: str) -> list[str]:
    """Pieces of a text that end in a full stop, question or exclamation mark, or a line."""
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()] or [text]


APPLICATION: Final = Questions()
