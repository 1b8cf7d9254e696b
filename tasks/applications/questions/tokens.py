"""Windows over contexts as tokens and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from configs.language import english
from tasks.applications.base import Batch, Codec, EncodedRows, Tokens
from tasks.applications.questions.learning import QuestionFacts

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.applications.questions.serving import Windows

PLACES: Final = ("start", "end", "null", "row")


class QuestionTokens(Tokens[QuestionFacts]):
    """Windows of a context, each after its question."""

    inputs = ("context", "question")

    def encode(
        self, rows: Mapping[str, list[Any]], codec: Codec, facts: QuestionFacts
    ) -> EncodedRows:
        """Cut rows into windows, and mark the first answer in those that hold all of it."""
        from tasks.applications.questions.serving import cut_windows

        questions = [codec.prefix + question for question in rows["question"]]
        windows = cut_windows(
            codec.tokenizer, questions, rows["context"], codec.max_length, facts.stride
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
            english("answers outside every window"): lost,
            english("questions cut"): windows.questions_cut,
        }
        return EncodedRows(columns, lost, windows.rows, counts)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        from tasks.applications.shared.padding import pad_windows

        return pad_windows(table, codec, PLACES)


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
