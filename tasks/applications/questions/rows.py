"""Rows of questions: a context, a question, and answers that are spans of the context."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from configs.schema import Data
from tasks.applications.questions.learning import QuestionFacts
from tasks.applications.rows import Column, RewrittenText, Rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


ANSWER_PARTS: Final = ("text", "answer_start")


def answers_type() -> pa.DataType:
    """The Arrow type of SQuAD's flat layout of answers."""
    import pyarrow as pa

    return pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])


COLUMNS: Final = (
    Column("context", "text"),
    Column("question", "text"),
    Column("answers", "target", stored=answers_type),
)


class QuestionRows(Rows[QuestionFacts]):
    """A question about a context has one set of answers."""

    one_target_per_input = True

    def columns(self, data: Data) -> tuple[Column, ...]:
        return COLUMNS

    def compared(self, data: Data) -> tuple[str, ...]:
        """Questions about one context, which many share."""
        return ("question",)

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Bring answers into SQuAD's flat layout; what cannot be read becomes JSON text."""
        import pandas as pd

        values = [canonical(value) for value in frame["answers"]]
        frame["answers"] = pd.Series(values, index=frame.index, dtype=object)

    def realign(self, target: Any, rewritten: Mapping[str, RewrittenText]) -> Any:
        """Answers as they are in the rewritten context, if they were there before."""
        context = rewritten.get("context")
        if context is None or not is_canonical(target):
            return target
        parts = [
            _shifted(text, start, context) for text, start in zip(*target.values(), strict=True)
        ]
        return {part: [answer[n] for answer in parts] for n, part in enumerate(ANSWER_PARTS)}

    def target_keys(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        return frame["answers"].map(lambda answers: bool(answers["text"]))

    def store(self, frame: pd.DataFrame, facts: QuestionFacts) -> dict[str, Any]:
        import pyarrow as pa

        texts, starts = ([answers[part] for answers in frame["answers"]] for part in ANSWER_PARTS)
        return {
            "context": frame["context"],
            "question": frame["question"],
            "answer_texts": pa.array(texts, pa.list_(pa.string())),
            "answer_starts": pa.array(starts, pa.list_(pa.int32())),
        }


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
        parts = {part: value.get(part) for part in ANSWER_PARTS}
    elif all(isinstance(answer, dict) for answer in value):
        parts = {part: [answer.get(part) for answer in value] for part in ANSWER_PARTS}
    else:
        parts = dict.fromkeys(ANSWER_PARTS)
    if isinstance(starts := parts["answer_start"], list):
        parts["answer_start"] = [_offset(start) for start in starts]
    return parts


def _offset(value: Any) -> Any:
    """A whole number that another program wrote as ``3.0``; other values unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _are_answers(parts: dict[str, Any]) -> bool:
    texts, starts = (parts[part] for part in ANSWER_PARTS)
    return (
        isinstance(texts, list)
        and isinstance(starts, list)
        and len(texts) == len(starts)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(start, int) and not isinstance(start, bool) for start in starts)
    )


def _shifted(text: str, start: int, context: RewrittenText) -> tuple[str, int]:
    """An answer in the rewritten context; one that was not at its offset stays wrong."""
    if start < 0 or not text or not context.old.startswith(text, start):
        return text, start
    first, last = context.span(start, start + len(text))
    return (text, first) if first < 0 else (context.text[first:last], first)


def is_canonical(value: object) -> bool:
    """Whether answers could be read."""
    return isinstance(value, dict)
