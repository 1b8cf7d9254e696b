"""Write every row that leaves to the quarantine, as it was read and with every reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import StorageFailure
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.rows import extra_columns, quarantine, spool
from tasks.contract.rows.quarantine import QuarantineSummary, Record
from tasks.contract.rules.findings import Place
from tasks.contract.sources.splits import Sources


def set_aside(path: Path, checked: CrossRowResult, sources: Sources) -> QuarantineSummary:
    """Write the quarantine.

    Args:
        path: its file, which is replaced.
        checked: the rows that leave.
        sources: where their extra columns are read.

    Raises:
        StorageFailure: rows were lost since they were read.
    """
    first = checked.first
    places = {first.rows.place(n, first.layout.files): n for n in sorted(checked.reasons)}
    rejected = (quarantine.place(entry) for entry in first.records() if entry["reasons"])
    with extra_columns.lookup(chain(places, rejected), first.layout, sources) as find_extra:
        records = _complete(checked, _records(checked, places))
        return quarantine.write(path, (_with_extra(entry, find_extra) for entry in records))


def _with_extra(entry: Record, find_extra: extra_columns.Lookup) -> Record:
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
    if kept + count + outside != total:
        found = f"{kept} kept, {count} set aside, {outside} outside of {total}"
        raise StorageFailure(f"rows were lost between the passes: {found}")
