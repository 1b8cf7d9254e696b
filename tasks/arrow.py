"""Tables on disk as Arrow streams, mapped into memory; ``Dataset.from_file`` reads them too."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


WHITE_SPACE: Final = "".join(filter(str.isspace, map(chr, range(sys.maxunicode + 1))))


def stored_texts(column: pd.Series[Any]) -> pa.ChunkedArray | None:
    """The strings of a pandas column that is in Arrow's memory, not copied; None for another."""
    import pandas as pd

    if not isinstance(column.dtype, pd.ArrowDtype):
        return None
    # An array or a chunked array.
    texts = pa.array(column.array)
    return texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])


def texts_of(column: pd.Series[Any]) -> pa.ChunkedArray:
    """A pandas column as Arrow strings; null where there is no string."""
    stored = stored_texts(column)
    if stored is not None:
        return stored
    values = [value if isinstance(value, str) else None for value in column]
    return pa.chunked_array([pa.array(values, pa.large_string())])


def strip(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Remove white space at both ends of each string, as :meth:`str.strip` does."""
    return pc.utf8_trim(texts, characters=WHITE_SPACE)


def write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write record batches one after the other; only one is in memory at a time."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


class MappedTable:
    """A table on disk; only requested rows are read into memory."""

    def __init__(self, path: Path) -> None:
        with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
            self._batches: list[pa.RecordBatch] = list(stream)
            self.schema: pa.Schema = stream.schema
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def __len__(self) -> int:
        """Rows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, still on disk."""
        return pa.Table.from_batches(self._batches, self.schema)[name]

    def slice(self, start: int, stop: int) -> pa.Table:
        """Consecutive rows, still on disk."""
        return pa.Table.from_batches(self._batches, self.schema).slice(start, stop - start)

    def chunks(self, size: int) -> Iterator[tuple[int, pa.Table]]:
        """All rows in tables of at most ``size``, each with the position of its first row."""
        for start in range(0, len(self), size):
            yield start, self.slice(start, start + size)

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Rows by position, in the order asked for, each column in one piece."""
        chunks = np.searchsorted(self._ends, rows, side="right")
        starts = self._ends[chunks] - [self._batches[chunk].num_rows for chunk in chunks]
        pieces = [
            self._batches[chunk].slice(row - start, 1)
            for chunk, row, start in zip(chunks, rows, starts, strict=True)
        ]
        return pa.Table.from_batches(pieces, self.schema).combine_chunks()
