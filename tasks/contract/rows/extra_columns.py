"""The columns of refused rows that the pipeline does not read, so that the quarantine is whole.

The passes over the data carry only the columns that the application needs. For the few rows that
leave, the files are read once more, up to the last of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from configs.schema import Data
from tasks.contract.rules.findings import Place
from tasks.contract.sources import frames, reading
from tasks.contract.sources.frames import Layout, Sources

TABLES: Final = (".csv", ".tsv", ".parquet")
"""Formats in which every row has the columns of the header."""
Lookup = Callable[[Place], dict[str, Any]]


@contextmanager
def remembered(
    places: Iterable[Place], data: Data, layout: Layout, sources: Sources
) -> Iterator[Lookup]:
    """Look the other columns of rows up, by their names in the file.

    They wait in a temporary database, since there may be many.

    Args:
        places: of the rows that leave.
        data: the data section.
        layout: columns and files.
        sources: the declared files.

    Yields:
        From the place of a row to its other columns; empty if it has none.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for place in places:
        wanted[place.file].add(place.row)
    known = set(layout.mapping.values())
    # Without a name the database is a file of its own that goes away with the connection.
    with closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE rows (file TEXT, row INTEGER, others TEXT)")
        for file, rows in wanted.items():
            found = ((file, row, text) for row, text in _others(file, rows, known, data, sources))
            database.executemany("INSERT INTO rows VALUES (?, ?, ?)", found)
        database.execute("CREATE INDEX places ON rows (file, row)")
        yield lambda place: _look_up(database, place)


def _look_up(database: sqlite3.Connection, place: Place) -> dict[str, Any]:
    query = "SELECT others FROM rows WHERE file = ? AND row = ?"
    found = database.execute(query, (place.file, place.row)).fetchone()
    others: dict[str, Any] = json.loads(found[0]) if found else {}
    return others


def _others(
    file: str, rows: set[int], known: set[str], data: Data, sources: Sources
) -> Iterator[tuple[int, str]]:
    if not _may_have(file, known, data, sources):
        return
    last = max(rows)
    for number, row in frames.records(file, data, sources):
        if number in rows and (others := {k: v for k, v in row.items() if k not in known}):
            yield number, json.dumps(others, ensure_ascii=False, default=str)
        if number >= last:
            return


def _may_have(file: str, known: set[str], data: Data, sources: Sources) -> bool:
    whole = sources.hub is not None or reading.format_of(Path(file)) in TABLES
    return not whole or not known.issuperset(frames.header(file, data, sources))
