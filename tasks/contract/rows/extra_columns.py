"""Columns of rejected rows that the pipeline does not use, for a complete quarantine.

The passes read only the columns that the application needs. For the few rejected rows the files are
read once more, up to the last of these rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from tasks.contract.rows.layout import Layout
from tasks.contract.rules.findings import Place
from tasks.contract.sources.base import Source, Unreadable
from tasks.contract.sources.splits import Sources

Lookup = Callable[[Place], dict[str, Any]]


@contextmanager
def lookup(places: Iterable[Place], layout: Layout, sources: Sources) -> Iterator[Lookup]:
    """Yield a function from the place of a rejected row to its extra columns, which may be empty.

    They are kept in a temporary database, since there may be many.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for place in places:
        wanted[place.file].add(place.row)
    known = set(layout.mapping.values())
    # A database without a name is a file that is deleted with the connection.
    with closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE rows (file TEXT, row INTEGER, extra TEXT)")
        for file, rows in wanted.items():
            source = sources.by_name[file]
            found = ((file, row, text) for row, text in _extra(source, rows, known))
            database.executemany("INSERT INTO rows VALUES (?, ?, ?)", found)
        database.execute("CREATE INDEX places ON rows (file, row)")
        yield lambda place: _look_up(database, place)


def _look_up(database: sqlite3.Connection, place: Place) -> dict[str, Any]:
    query = "SELECT extra FROM rows WHERE file = ? AND row = ?"
    found = database.execute(query, (place.file, place.row)).fetchone()
    extra: dict[str, Any] = json.loads(found[0]) if found else {}
    return extra


def _extra(source: Source, rows: set[int], known: set[str]) -> Iterator[tuple[int, str]]:
    if source.same_columns and known.issuperset(source.columns()):
        return
    last = max(rows)
    for item in source.rows():
        if isinstance(item, Unreadable):
            continue
        number, row = item
        if number in rows and (extra := {k: v for k, v in row.items() if k not in known}):
            yield number, json.dumps(extra, ensure_ascii=False, default=str)
        if number >= last:
            return
