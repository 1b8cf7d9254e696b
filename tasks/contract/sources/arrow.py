"""Sources of Arrow data, such as Parquet, whose strings are not copied."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from configs.errors import DataError, Problem
from configs.language import english
from tasks.contract.sources.base import (
    BATCH_CHARACTERS,
    Batch,
    Block,
    Cells,
    Row,
    Rows,
    Source,
    cells_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_BATCH: Final = 10_000
"""Most rows that are read at once."""


class ArrowSource(Source):
    """A source of Arrow data, whose strings are not copied."""

    @abstractmethod
    def record_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The data with at least some columns, as Arrow's reader returns it."""

    def rows(self, block: Block | None = None) -> Rows:
        return enumerate(chain.from_iterable(map(_rows, self._valid_batches())), 1)

    def batches(self, columns: Sequence[str], block: Block | None = None) -> Iterator[Batch]:
        start = 1
        for batch in self._valid_batches(columns):
            chosen = batch.select(list(columns))
            rows = max(1, chosen.num_rows * BATCH_CHARACTERS // max(chosen.nbytes, 1))
            for first in range(0, chosen.num_rows, rows):
                part = chosen.slice(first, rows)
                cells = map(_arrow_cells, part.columns)
                numbers = range(start, start + part.num_rows)
                yield Batch(numbers, dict(zip(columns, cells, strict=True)))
                start += part.num_rows

    def _valid_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The data with checked strings, since readers of Arrow data do not check them."""
        import pyarrow as pa

        start = 1
        for batch in self.record_batches(columns):
            try:
                batch.validate(full=True)
            except pa.ArrowInvalid:
                where = english("{place} row {start} or later", place=self.place, start=start)
                problem = Problem(
                    where, english("expected UTF-8 text"), english("convert it to UTF-8")
                )
                raise DataError(problem) from None
            yield batch
            start += batch.num_rows


def _arrow_cells(array: pa.Array) -> Cells:
    import pyarrow as pa

    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array.cast(pa.large_string())
    return cells_of(_values(array)) if "binary" in str(array.type) else _values(array)


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    for values in zip(*map(_values, batch.columns), strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _values(array: pa.Array) -> list[Any]:
    """Python values; bytes that are UTF-8 become text."""
    values: list[Any] = array.to_pylist()
    return [_decoded(value) for value in values] if "binary" in str(array.type) else values


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if isinstance(value, dict):
        return {key: _decoded(one) for key, one in value.items()}
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
