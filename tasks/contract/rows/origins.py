"""Where stored rows come from in their files: line numbers, and values of further columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.arrow import MappedTable
from tasks.contract.rows.catalogue import value_key
from tasks.contract.sources.base import Source
from tasks.contract.sources.splits import Sources


def columns_of(columns: Sequence[str], rows: MappedTable, sources: Sources) -> dict[str, list[str]]:
    """Columns of the files, for stored rows."""
    values = {column: np.full(len(rows), "", dtype=object) for column in columns}
    for source, wanted in _by_source(rows, sources) if columns else ():
        for number, _line, row in source.find(wanted):
            for column, cells in values.items():
                cells[wanted[number]] = value_key(row.get(column))
    return {column: list(cells) for column, cells in values.items()}


def describe(rows: MappedTable, sources: Sources, id_column: str | None) -> dict[str, list[Any]]:
    """The ``file`` and ``row`` of each stored row; its ``line`` and ``id``, as far as known.

    A file that has changed since it was validated tells neither.
    """
    lines: list[int | None] = [None] * len(rows)
    ids = [""] * len(rows)
    for source, wanted in _by_source(rows, sources):
        if source.digest() != sources.digests[source.name]:
            continue
        for number, line, values in source.find(wanted):
            lines[wanted[number]] = line
            if id_column is not None:
                ids[wanted[number]] = value_key(values.get(id_column))
    names = [Path(name).name for name in sources.by_name]
    file, row = (rows.column(name).to_pylist() for name in ("file", "row"))
    found: dict[str, list[Any]] = {"file": [names[at] for at in file], "row": row}
    if any(line is not None for line in lines):
        found["line"] = lines
    return found if id_column is None else found | {"id": ids}


def _by_source(rows: MappedTable, sources: Sources) -> Iterator[tuple[Source, dict[int, int]]]:
    """Each file with its row numbers and where they are among the stored rows."""
    found = list(sources.by_name.values())
    file, row = (rows.column(name).to_numpy() for name in ("file", "row"))
    for position in np.unique(file):
        here = np.flatnonzero(file == position)
        yield found[position], {int(row[at]): int(at) for at in here}
