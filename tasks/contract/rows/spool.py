"""Valid rows between the two passes: on disk as Arrow, so that memory does not grow with them.

A row may leave later by a rule across rows, and the quarantine needs it as it was read. So original
values that the application changed are stored beside the new ones, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tasks import arrow
from tasks.applications.rows import Column
from tasks.contract.sources.base import Batch

ORIGINAL: Final = "original:"
EXTRA: Final = ("group", "window", "id")
"""Columns that the quarantine needs, though nothing after the first pass reads them."""


class SpoolWriter:
    """Writes valid rows with the columns that the sources have; a context manager."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._schema = schema(columns)
        self._stack = ExitStack()
        sink = self._stack.enter_context(pa.OSFile(str(path), "wb"))
        self._writer = self._stack.enter_context(pa.ipc.new_stream(sink, self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def write(self, frame: pd.DataFrame, original: Batch, private: Iterable[int]) -> None:
        """Append rows, which are indexed by their positions in the batch.

        Original values of the ``private`` positions are not stored.
        """
        hidden = frame.index.isin(list(private))
        arrays = []
        for field in self._schema:
            name = field.name.removeprefix(ORIGINAL)
            if name == field.name:
                arrays.append(_array(frame[name], field.type))
            elif name in original.columns:
                now = [None] * len(frame) if name in EXTRA else frame[name].to_list()
                known = original.values(name)
                found = _originals([known[at] for at in frame.index], now)
                values = [None if h else v for v, h in zip(found, hidden, strict=True)]
                arrays.append(pa.array(values, field.type))
            else:
                arrays.append(pa.nulls(len(frame), field.type))
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))


def _array(column: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    texts = arrow.stored_texts(column)
    return pa.array(column.to_list(), kind) if texts is None else texts.combine_chunks()


def schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of valid rows."""
    fields = [pa.field(column.name, column.stored()) for column in columns]
    kept = [*(column.name for column in columns if column.kind == "target"), *EXTRA]
    return pa.schema([*fields, *(pa.field(ORIGINAL + name, pa.large_string()) for name in kept)])


def _originals(values: list[Any], now: list[Any]) -> list[str | None]:
    known: dict[str, str] = {}
    written: list[str | None] = []
    for value, other in zip(values, now, strict=True):
        if type(value) is type(other) and value == other:
            written.append(None)
        elif isinstance(value, str) and len(value) < 100:
            if value not in known:
                known[value] = json.dumps(value, ensure_ascii=False)
            written.append(known[value])
        else:
            written.append(json.dumps(value, ensure_ascii=False, default=str))
    return written


class SpoolReader:
    """The rows of all parts in order: a file per part, and its size in rows."""

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int]) -> None:
        self.paths = tuple(paths)
        self.sizes = tuple(sizes)

    def chunks(self) -> Iterator[tuple[int, pa.Table]]:
        """All rows in tables, each with the position of its first row."""
        start = 0
        for path in self.paths:
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
                for batch in stream:
                    yield start, pa.Table.from_batches([batch])
                    start += batch.num_rows

    def take(self, positions: NDArray[np.int64]) -> Iterator[tuple[int, pa.Table]]:
        """Rows at rising positions in tables, each with the index of its first position."""
        for start, table in self.chunks():
            low, high = np.searchsorted(positions, [start, start + table.num_rows])
            if low < high:
                yield int(low), table.take(positions[low:high] - start)


def originals(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as they were read."""
    names = [name for name in table.column_names if not name.startswith(ORIGINAL)]
    rows = []
    for row in table.to_pylist():
        raw = {name: row[name] for name in names}
        for name in (*names, *EXTRA):
            if (written := row.get(ORIGINAL + name)) is not None:
                raw[name] = json.loads(written)
        rows.append(raw)
    return rows


def frame(table: pa.Table, texts: Collection[str]) -> pd.DataFrame:
    """Rows as a frame: texts stay in Arrow's memory, other columns are Python values."""
    return pd.DataFrame(
        {
            name: pd.arrays.ArrowExtensionArray(table[name])
            if name in texts
            else pd.Series(table[name].to_pylist(), dtype=object)
            for name in table.column_names
            if not name.startswith(ORIGINAL)
        }
    )
