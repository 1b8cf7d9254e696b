"""Where stored rows come from in their files: line numbers, and values of further columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tasks.arrow import MappedTable
from tasks.contract.rows.catalogue import value_key
from tasks.contract.sources.base import Source, Unreadable
from tasks.contract.sources.splits import Sources


def column_of(column: str, rows: MappedTable, sources: Sources) -> list[str]:
    """A column of the files, for stored rows."""
    values = np.full(len(rows), "", dtype=object)
    for source, wanted in _by_source(rows, sources):
        for item in source.rows():
            if not isinstance(item, Unreadable) and item[0] in wanted:
                values[wanted[item[0]]] = value_key(item[1].get(column))
    return list(values)


def describe(rows: MappedTable, sources: Sources, id_column: str | None) -> dict[str, list[Any]]:
    """The ``line`` of each stored row in its file, and its ``id``, as far as they are known.

    A file that has changed since it was validated tells neither.
    """
    lines = np.full(len(rows), None, dtype=object)
    known = np.zeros(len(rows), dtype=np.bool_)
    for source, wanted in _by_source(rows, sources):
        if source.digest() != sources.digests[source.name]:
            continue
        known[list(wanted.values())] = True
        for number, line in source.lines(wanted).items():
            lines[wanted[number]] = line
    found: dict[str, list[Any]] = {}
    if any(line is not None for line in lines):
        found["line"] = list(lines)
    if id_column is not None:
        ids = column_of(id_column, rows, sources)
        found["id"] = [one if is_known else "" for one, is_known in zip(ids, known, strict=True)]
    return found


def _by_source(rows: MappedTable, sources: Sources) -> Iterator[tuple[Source, dict[int, int]]]:
    """Each file with its row numbers and where they are among the stored rows."""
    found = list(sources.by_name.values())
    file, row = (rows.column(name).to_numpy() for name in ("file", "row"))
    for position in np.unique(file):
        here = np.flatnonzero(file == position)
        yield found[position], {int(row[at]): int(at) for at in here}
