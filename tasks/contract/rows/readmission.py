"""Take repaired rows back from the quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.errors import DataError, Problem
from configs.files import write_atomic
from configs.language import english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.contract.passes.row_checks import RowChecker
from tasks.contract.rows import layout, quarantine
from tasks.contract.rows.quarantine import Fixes, Record
from tasks.contract.rules.findings import Place
from tasks.contract.sources import formats
from tasks.contract.sources.base import Unreadable, batch_of
from tasks.contract.sources.splits import SPLITS, Sources

PLACE: Final = ("split", "file", "row")
NOTES: Final = {*PLACE, "rules", "reasons", "raw", quarantine.EXTRA}
Repair = tuple[Place, dict[str, Any]]
"""Place of a row in the quarantine, and its repaired values."""


@dataclass(frozen=True, slots=True)
class Readmission:
    """The repaired rows that the next run takes, and why others are not taken."""

    accepted: list[Place]
    problems: list[Problem]


def take_back(config: Pipeline, root: Path, sources: Sources, fixed: Path) -> Readmission:
    """Check repaired rows by the rules of single rows, and keep those that pass.

    The file has rows in the layout of the quarantine with ``raw`` repaired, or it is a table with
    the columns ``split``, ``file`` and ``row`` and those of the application.

    Raises:
        DataError: the file cannot be read, or the quarantine is empty.
    """
    path = quarantine.file_of(root, config.name)
    waiting = {_place(entry): entry for entry in quarantine.read(path)}
    if not waiting:
        raise DataError.at(
            path, english("the quarantine is empty"), english("run `onestep check` first")
        )
    read = list(_read(fixed, waiting))
    problems = [item for item in read if isinstance(item, Problem)]
    repairs = [item for item in read if not isinstance(item, Problem)]
    reasons = _reasons(config, sources, repairs)
    for row in sorted(reasons):
        words = english("still breaks the contract: {reason}", reason=reasons[row])
        problems.append(Problem(str(repairs[row][0]), words))
    kept = [repair for row, repair in enumerate(repairs) if row not in reasons]
    if kept:
        _store(quarantine.fixes_of(root, config.name), waiting, kept)
    return Readmission([place for place, _ in kept], problems)


def _place(entry: Record) -> Place:
    return Place(str(entry.get("split")), str(entry.get("file")), int(entry.get("row") or 0))


def _read(fixed: Path, waiting: Mapping[Place, Record]) -> Iterator[Repair | Problem]:
    for item in formats.open_file(fixed).rows():
        if isinstance(item, Unreadable):
            yield Problem(f"{fixed} row {item.row}", item.reason)
            continue
        number, entry = item
        where = f"{fixed} row {number}"
        try:
            place = _place(entry)
        except (TypeError, ValueError):
            place = Place("", "", 0)
        raw = entry.get("raw", {name: v for name, v in entry.items() if name not in NOTES})
        if place not in waiting:
            message = english("no row in the quarantine has its split, file and row")
            yield Problem(where, message, english("keep these three as they are"))
        elif not isinstance(raw, dict):
            yield Problem(where, english("expected an object with the columns as `raw`"))
        elif raw == waiting[place]["raw"]:
            yield Problem(where, english("the row is as it was"), english("repair it first"))
        else:
            yield place, raw


def _reasons(config: Pipeline, sources: Sources, repairs: Sequence[Repair]) -> dict[int, str]:
    """Why repaired rows still break the contract, by position."""
    application = applications.get(config.application)
    found = layout.find_columns(config.data, application, sources)
    checker = RowChecker(config, application, found, Fixes())
    reasons: dict[int, str] = {}
    # Training rows have one more column, if there is a window.
    for training in (True, False):
        columns = layout.columns_of("train" if training else "test", found.mapping)
        rows = [
            (row, raw)
            for row, (place, raw) in enumerate(repairs)
            if (place.split == SPLITS[0]) == training
        ]
        if rows:
            rejected = checker.check(batch_of(rows, list(columns))).rejected
            reasons |= {row: "; ".join(w for _, w in why) for row, why, _ in rejected if why}
    return reasons


def _store(path: Path, waiting: Mapping[Place, Record], kept: Sequence[Repair]) -> None:
    known = {entry["original"]: entry["row"] for entry in quarantine.read(path)}
    for place, raw in kept:
        known[quarantine.identity(waiting[place]["raw"])] = raw
    lines = (quarantine.line({"original": key, "row": row}) for key, row in known.items())
    write_atomic(path, b"".join(lines))
