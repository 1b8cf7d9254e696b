"""Take repaired rows back from the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import DataError, Problem
from configs.files import write_atomic
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.contract.passes.row_checks import RowChecker
from tasks.contract.rows import layout, quarantine
from tasks.contract.rows.quarantine import Fixes, Record
from tasks.contract.rules.findings import Place
from tasks.contract.sources import formats
from tasks.contract.sources.base import Unreadable, batch_of
from tasks.contract.sources.splits import SPLITS, Sources

PLACE = ("split", "file", "row")
NOTES = {*PLACE, "rules", "reasons", "raw", "others"}


@dataclass
class Returned:
    """What came of repaired rows.

    Attributes:
        accepted: rows that the next run takes instead of those in the quarantine.
        problems: rows that are not, and why.
    """

    accepted: list[Place] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def take_back(config: Pipeline, root: Path, sources: Sources, fixed: Path) -> Returned:
    """Hold repaired rows against the rules of single rows, and keep those that pass.

    Args:
        config: the pipeline.
        root: the workspace's folder.
        sources: the declared files.
        fixed: rows in the layout of the quarantine with ``raw`` repaired, or a table with the
            columns ``split``, ``file`` and ``row`` and those of the application.

    Raises:
        DataError: the file cannot be read, or the quarantine is empty.
    """
    path = quarantine.file_of(root, config.name)
    waiting = {_place(entry): entry for entry in quarantine.read(path)}
    if not waiting:
        raise DataError(Problem(str(path), "the quarantine is empty", "run `onestep check` first"))
    returned = Returned()
    repaired = list(_repaired(fixed, waiting, returned))
    kept = _judged(config, sources, repaired, returned)
    _remember(quarantine.fixes_of(root, config.name), waiting, kept)
    return returned


def _place(entry: Record) -> Place:
    return Place(str(entry.get("split")), str(entry.get("file")), int(entry.get("row") or 0))


def _repaired(
    fixed: Path, waiting: dict[Place, Record], returned: Returned
) -> Iterator[tuple[Place, dict[str, Any]]]:
    for item in formats.open_file(fixed).rows():
        number = item.row if isinstance(item, Unreadable) else item[0]
        where = f"{fixed} row {number}"
        if isinstance(item, Unreadable):
            returned.problems.append(Problem(where, item.reason))
            continue
        entry = item[1]
        try:
            place = _place(entry)
        except (TypeError, ValueError):
            place = Place("", "", 0)
        raw = entry.get("raw", {name: v for name, v in entry.items() if name not in NOTES})
        if place not in waiting:
            message = "no row in the quarantine has its split, file and row"
            returned.problems.append(Problem(where, message, "keep these three as they are"))
        elif not isinstance(raw, dict):
            message = "expected an object with the columns as `raw`"
            returned.problems.append(Problem(where, message))
        elif raw == waiting[place]["raw"]:
            returned.problems.append(Problem(where, "the row is as it was", "repair it first"))
        else:
            yield place, raw


def _judged(
    config: Pipeline,
    sources: Sources,
    repaired: list[tuple[Place, dict[str, Any]]],
    returned: Returned,
) -> dict[Place, dict[str, Any]]:
    application = applications.get(config.application)
    found = layout.find_columns(config.data, application, sources)
    checker = RowChecker(config, application, found, Fixes(), few_rows=True)
    refused: dict[int, list[tuple[str, str]]] = {}
    # Training rows have one more column, if there is a window.
    for training in (True, False):
        columns = layout.columns_of("train" if training else "test", found.mapping)
        rows = [(n, raw) for n, (place, raw) in enumerate(repaired) if _trains(place) == training]
        if rows:
            result = checker.check(batch_of(rows, list(columns)))
            refused |= {row: why for row, why, _ in result.rejected if why}
    kept = {}
    for row, (place, raw) in enumerate(repaired):
        if row in refused:
            reasons = "; ".join(words for _, words in refused[row])
            returned.problems.append(Problem(str(place), f"still breaks the contract: {reasons}"))
        else:
            kept[place] = raw
            returned.accepted.append(place)
    return kept


def _trains(place: Place) -> bool:
    return place.split == SPLITS[0]


def _remember(path: Path, waiting: dict[Place, Record], kept: dict[Place, dict[str, Any]]) -> None:
    if not kept:
        return
    known = {entry["original"]: entry["row"] for entry in quarantine.read(path)}
    for place, raw in kept.items():
        known[quarantine.identity(waiting[place]["raw"])] = raw
    lines = (quarantine.line({"original": key, "row": row}) for key, row in known.items())
    write_atomic(path, b"".join(lines))
