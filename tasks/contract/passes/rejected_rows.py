"""Write every row that leaves to the quarantine, as it was read and with every reason.

The passes read only the columns that the application needs. For the others, the files are read once
more, up to the last row that leaves.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import StorageFailure
from configs.language import _
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.rows import quarantine, spool
from tasks.contract.rows.layout import Layout
from tasks.contract.rows.quarantine import QuarantineSummary, Record
from tasks.contract.rules.findings import Place
from tasks.contract.sources.base import Source, Unreadable
from tasks.contract.sources.splits import Sources

Lookup = Callable[[Place], dict[str, Any]]
"""From the place of a row to its columns that the pipeline does not use; there may be none."""


def set_aside(path: Path, checked: CrossRowResult, sources: Sources) -> QuarantineSummary:
    """Write the rows that leave, with their extra columns, to the quarantine, which is replaced.

    Raises:
        StorageFailure: rows were lost since they were read.
    """
    first = checked.first
    places = {first.rows.place(n, first.layout.files): n for n in sorted(checked.reasons)}
    rejected = (quarantine.place(entry) for entry in first.records() if entry["reasons"])
    with extra_columns(chain(places, rejected), first.layout, sources) as find_extra:
        records = _complete(checked, _records(checked, places))
        return quarantine.write(path, (_with_extra(entry, find_extra) for entry in records))


def _with_extra(entry: Record, find_extra: Lookup) -> Record:
    extra = find_extra(quarantine.place(entry))
    return entry | ({quarantine.EXTRA: extra} if extra else {})


def _records(checked: CrossRowResult, places: Mapping[Place, int]) -> Iterator[Record]:
    """Rows that broke a rule by themselves, then those that broke one across rows."""
    originals: dict[int, Any] = {}
    for entry in checked.first.records():
        if entry["reasons"]:
            yield entry
        elif (place := quarantine.place(entry)) in places:
            originals[places[place]] = entry["raw"]
    leaving = list(places.items())
    positions = np.array([position for _, position in leaving], dtype=np.int64)
    for start, table in checked.first.spool.take(positions):
        for offset, raw in enumerate(spool.originals(table)):
            place, position = leaving[start + offset]
            original = originals.get(position, raw)
            yield quarantine.record(place, checked.reasons[position], original)


def _complete(checked: CrossRowResult, records: Iterator[Record]) -> Iterator[Record]:
    """The records, and an error at their end if some rows are neither kept nor among them."""
    count = 0
    for entry in records:
        count += 1
        yield entry
    kept, outside, total = int(checked.kept.sum()), checked.outside, checked.first.total
    outside += len(checked.dropped) + len(checked.superseded) + checked.first.empty
    if kept + count + outside != total:
        found = f"{kept} kept, {count} set aside, {outside} outside of {total}"
        raise StorageFailure(_("rows were lost between the passes: {found}", found=found))


@contextmanager
def extra_columns(places: Iterable[Place], layout: Layout, sources: Sources) -> Iterator[Lookup]:
    """Read the extra columns of rows into a temporary database, since there may be many."""
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
