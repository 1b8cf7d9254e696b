"""Checks of single rows: read a part of the data, check its rows, and keep valid rows on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from configs.language import english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application, Reasons
from tasks.contract.passes.misread_values import Values
from tasks.contract.rows import layout as layouts
from tasks.contract.rows import quarantine, rewriting, window
from tasks.contract.rows.catalogue import Catalogue, Cataloguer
from tasks.contract.rows.layout import WINDOW, Layout
from tasks.contract.rows.quarantine import Fixes
from tasks.contract.rows.rewriting import Rewriter
from tasks.contract.rows.spool import SpoolWriter
from tasks.contract.rules import cells as rules
from tasks.contract.rules.findings import Example, Findings, Place
from tasks.contract.sources.base import Batch, batch_of
from tasks.contract.sources.splits import SPLITS, Part

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

ARROW_TEXT = pd.ArrowDtype(pa.large_string())
NOT_REJECTING = ("warn", "redact", "repair")
Rejection = tuple[int, list[tuple[str, str]], Any]
"""Number, broken rules and original of a row."""


@dataclass(frozen=True, slots=True)
class Task:
    """Arguments to check one part in a process.

    Attributes:
        spool: file for the valid rows.
        rejected: file for the others, in the quarantine's folder, since it holds their text.
        fixes: file with rows that a person repaired.
    """

    config: Pipeline
    layout: Layout
    part: Part
    spool: Path
    rejected: Path
    fixes: Path


@dataclass
class PartResult:
    """Result of the checks of a part.

    Attributes:
        rows: rows read, also those that cannot be parsed.
        empty: rows without any value, which are left out.
        rejected: rows that break a rule and leave.
        changed: how many rows were repaired, and how many redacted.
        window_kinds: whether the column of the window holds dates, numbers or both.
        values: what shows that another column is meant, or that targets have two readings.
    """

    task: Task
    catalogue: Catalogue
    rows: int = 0
    empty: int = 0
    rejected: int = 0
    findings: Findings = field(default_factory=Findings)
    changed: Counter[str] = field(default_factory=Counter)
    window_kinds: frozenset[str] = frozenset()
    values: Values = field(default_factory=Values)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of the checks of a batch.

    Attributes:
        valid: rows that stay, in canonical form, indexed by their position in the batch.
        original: the batch as it was read.
        reasons: number, broken rules and text of each row with a finding, warnings included; the
            text is empty unless it may be shown.
        rejected: rows that leave; without reasons, originals of rows that stay and were changed.
        private: positions of the valid rows whose original is private.
        changed: how many rows were repaired, and how many redacted.
    """

    valid: pd.DataFrame
    original: Batch
    reasons: list[tuple[int, list[tuple[str, str]], str]]
    rejected: list[Rejection]
    private: set[int]
    changed: Counter[str]


def check_part(task: Task) -> PartResult:
    """Check every row of a part.

    Raises:
        DataError: the part cannot be read.
    """
    application = applications.get(task.config.application)
    data, part = task.config.data, task.part
    split, position = SPLITS.index(part.split), task.layout.files.index(part.file)
    fixes = Fixes(task.fixes)
    checker = RowChecker(task.config, application, task.layout, fixes)
    cataloguer = Cataloguer(application, data)
    columns = [c for c in application.rows.columns(data) if c.name in task.layout.mapping]
    result = PartResult(task, cataloguer.finish())
    with SpoolWriter(task.spool, columns) as spool, task.rejected.open("wb") as rejected:
        for batch in layouts.read(part, task.layout.mapping):
            result.rows += batch.empty
            result.empty += batch.empty
            if not (len(batch.numbers) or batch.unreadable):
                continue
            found = checker.check(batch)
            if len(found.valid):
                spool.write(found.valid, found.original, found.private)
                cataloguer.add(found.valid, split, position)
            for row, reasons, raw in found.rejected:
                place = Place(part.split, part.file, row)
                rejected.write(quarantine.line(quarantine.record(place, reasons, raw)))
            _count(result, found)
    result.catalogue = cataloguer.finish()
    result.window_kinds = frozenset(checker.window_kinds)
    result.values = checker.values
    return result


def _count(result: PartResult, found: BatchResult) -> None:
    part, batch = result.task.part, found.original
    rows = len(batch.numbers) + len(batch.unreadable)
    result.rows += rows
    result.rejected += sum(bool(reasons) for _, reasons, _ in found.rejected)
    result.changed += found.changed
    config = result.task.config
    checked = rules.checked(applications.get(config.application), config)
    result.findings.saw([rules.UNREADABLE], rows)
    result.findings.saw(checked, len(batch.numbers))
    for row, reasons, text in found.reasons:
        place = Place(part.split, part.file, row)
        # A row may break a rule twice and counts once, with the first reason.
        for rule, reason in dict(reversed(reasons)).items():
            result.findings.add(rule, Example(place, reason, text))


@dataclass
class RowChecker:
    """Checks each row by itself, batch after batch.

    Attributes:
        fixes: rows that a person repaired.
        window_kinds: whether the column of the window holds dates, numbers or both, so far.
        values: what the text columns and the targets hold, so far.
    """

    config: Pipeline
    application: Application
    layout: Layout
    fixes: Fixes
    window_kinds: set[str] = field(default_factory=set)
    values: Values = field(default_factory=Values)

    @cached_property
    def _rewriter(self) -> Rewriter:
        return Rewriter(self.config, self.application)

    @cached_property
    def _texts(self) -> list[str]:
        return self.layout.texts(self.config, self.application)

    @cached_property
    def _cells(self) -> DataFrameSchema:
        return self.application.rules.schema(self.config)

    @cached_property
    def _form(self) -> DataFrameSchema:
        return rules.form_schema(self._texts, self.config.contract)

    def check(self, batch: Batch) -> BatchResult:
        """Rewrite the rows, run every check, and divide the rows into valid and rejected ones."""
        rows = self.application.rows
        batch = self._with_fixes(batch) if self.fixes else batch
        frame = batch.frame(self._texts)
        self.values.add(frame, self._texts, rows.readings(frame, self.config.data))
        rows.normalize(frame, self.config.data, self.layout.names)
        changed = self._rewriter.apply(frame)
        targets = self._rewriter.private_targets(frame)
        reasons = rules.merge(
            self._reasons(frame), self._read_window(frame), targets, _changes(changed)
        )
        leaving = {index for index, found in reasons.items() if self._leaves(found)}
        private = (changed.keys() | self._rewriter.private_keys(frame)) - leaving
        return BatchResult(
            frame.drop(index=list(leaving)),
            batch,
            self._listed(batch, frame, reasons),
            self._rejected(batch, {row: reasons[row] for row in leaving}, private),
            private,
            rewriting.count(changed),
        )

    def _rejected(self, batch: Batch, leaving: Reasons, private: set[int]) -> list[Rejection]:
        """Rows that leave, then originals of rows that stay, then rows that cannot be read."""
        rows = [
            (batch.numbers[index], self._ranked(leaving[index]), batch.row(index))
            for index in sorted(leaving)
        ]
        rows += [(batch.numbers[index], [], batch.row(index)) for index in sorted(private)]
        broken = [(one.row, _unreadable(one.reason), one.raw) for one in batch.unreadable]
        return [*rows, *broken]

    def _listed(
        self, batch: Batch, frame: pd.DataFrame, reasons: Reasons
    ) -> list[tuple[int, list[tuple[str, str]], str]]:
        rows = [
            (batch.numbers[index], found, self._shown(frame, index))
            for index, found in sorted(reasons.items())
        ]
        return rows + [(one.row, _unreadable(one.reason), "") for one in batch.unreadable]

    def _with_fixes(self, batch: Batch) -> Batch:
        """The rows with the repairs of a person."""
        rows = [(number, row | (self.fixes.of(row) or {})) for number, row in batch.items()]
        unreadable = []
        for one in batch.unreadable:
            if row := self.fixes.of(one.raw):
                rows.append((one.row, row))
            else:
                unreadable.append(one)
        return batch_of(rows, batch.columns, unreadable)

    def _reasons(self, frame: pd.DataFrame) -> Reasons:
        cells = rules.violations(frame, self._cells)
        rest = frame.drop(index=list(cells)) if cells else frame
        form = rules.violations(rest[self._texts].astype(ARROW_TEXT), self._form)
        between = self.application.rules.findings(rest, self.config) if len(rest) else {}
        return rules.merge(cells, form, between)

    def _read_window(self, frame: pd.DataFrame) -> Reasons:
        """Replace the column of the window by numbers, and return its broken rules."""
        if WINDOW not in frame:
            return {}
        moments, reasons, kinds = window.read(frame[WINDOW], self.config.data.window)
        self.window_kinds |= kinds
        undated = {index for index, found in reasons.items() if found[0][0] == "wrong_type"}
        held = frame.index.difference(list(reasons.keys() - undated))
        rows = frame.loc[held, "row"]
        values = dict(zip(rows, frame.loc[held, WINDOW], strict=True))
        self.values.add_moments(values, [rows[index] for index in sorted(undated)])
        frame[WINDOW] = moments
        return reasons

    def _leaves(self, reasons: Iterable[tuple[str, str]]) -> bool:
        return any(
            rules.severity(rule, self.config.contract) in ("refuse", "quarantine")
            for rule, _ in reasons
        )

    def _shown(self, frame: pd.DataFrame, index: int) -> str:
        if not self.config.contract.show_text:
            return ""
        texts = (frame.at[index, name] for name in self._texts)
        return "\n".join(text for text in texts if isinstance(text, str))

    def _ranked(self, reasons: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Reasons to leave, then warnings."""
        contract = self.config.contract
        reasons = [reason for reason in reasons if reason[0] != rules.REPAIRED]
        return sorted(reasons, key=lambda it: rules.severity(it[0], contract) in NOT_REJECTING)


def _unreadable(reason: str) -> list[tuple[str, str]]:
    return [(rules.UNREADABLE, reason)]


def _changes(changed: Mapping[int, set[str]]) -> Reasons:
    """Changes of rows as broken rules."""
    return {
        index: [
            (rules.REPAIRED, english("damaged characters were mended"))
            if what == "repair"
            else (f"privacy.{what}", english("private data: {what}", what=what))
            for what in sorted(done)
        ]
        for index, done in changed.items()
    }
