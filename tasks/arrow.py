"""Tables on disk as Arrow streams, mapped into memory; ``Dataset.from_file`` reads them too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write record batches one after the other; only one is in memory at a time."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


class MappedTable:
    """A table on disk; only the rows that are asked for come into memory."""

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

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Rows by position, in the order asked for, each column in one piece."""
        chunks = np.searchsorted(self._ends, rows, side="right")
        starts = self._ends[chunks] - [self._batches[chunk].num_rows for chunk in chunks]
        pieces = [
            self._batches[chunk].slice(row - start, 1)
            for chunk, row, start in zip(chunks, rows, starts, strict=True)
        ]
        return pa.Table.from_batches(pieces, self.schema).combine_chunks()
