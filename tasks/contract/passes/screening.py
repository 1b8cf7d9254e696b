"""The first pass over the data: read a part, judge row by row, and keep what is valid on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, Problem
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application, Reasons
from tasks.contract.rows import quarantine, rewriting, window
from tasks.contract.rows.catalogue import Catalogue, Cataloguer
from tasks.contract.rows.quarantine import Fixes
from tasks.contract.rows.rewriting import Rewriter
from tasks.contract.rows.spool import Spool
from tasks.contract.rules import cells as rules
from tasks.contract.rules.findings import Example, Findings, Place
from tasks.contract.sources import frames
from tasks.contract.sources.frames import SPLITS, WINDOW, Chunk, Layout, Part, Sources

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

ENOUGH = 1000
PASSING = ("warn", "redact", "repair")
Refusal = tuple[int, list[tuple[str, str]], Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What a process needs to screen one part.

    Attributes:
        config: the pipeline.
        layout: columns and files.
        part: what to read.
        spool: file for the valid rows.
        refused: file for the others, in the quarantine's folder, since it holds their text.
        fixes: file with the rows that a person has repaired.
    """

    config: Pipeline
    layout: Layout
    part: Part
    spool: Path
    refused: Path
    fixes: Path


@dataclass
class Screened:
    """What came of a part.

    Attributes:
        task: the part.
        rows: rows read, also those that cannot be parsed.
        left_out: rows that were set aside.
        catalogue: of the valid rows.
        findings: by rule.
        changed: how many rows were repaired, and how many redacted.
        clocks: what the column of the window holds.
        refused: file of the refused rows, and of the originals of changed ones.
    """

    task: Task
    catalogue: Catalogue
    rows: int = 0
    left_out: int = 0
    findings: Findings = field(default_factory=Findings)
    changed: Counter[str] = field(default_factory=Counter)
    clocks: frozenset[str] = frozenset()

    @property
    def refused(self) -> Path:
        """The file of the refused rows."""
        return self.task.refused


def screen(task: Task, sources: Sources | None = None) -> Screened:
    """Judge every row of a part.

    Raises:
        DataError: the part cannot be read.
    """
    application = applications.get(task.config.application)
    data, split = task.config.data, SPLITS.index(task.part.split)
    position = task.layout.files.index(task.part.file)
    screener = Screener(task.config, application, task.layout, Fixes(task.fixes))
    cataloguer = Cataloguer(application, data)
    columns = [c for c in application.rows.columns(data) if c.name in task.layout.mapping]
    spool = Spool(task.spool, columns)
    result = Screened(task, cataloguer.finish())
    with task.refused.open("wb") as refused:
        for chunk in frames.chunks(task.part, data, task.layout.mapping, sources):
            if not (len(chunk.frame) or chunk.unreadable):
                continue
            judged = screener.judge(chunk)
            frame = judged.valid
            if len(frame):
                spool.write(frame, judged.original, judged.private)
                cataloguer.add(frame, split, position)
            for row, reasons, raw in judged.refused:
                place = Place(task.part.split, task.part.file, row)
                refused.write(quarantine.line(quarantine.record(place, reasons, raw)))
            _count(result, judged, chunk)
    spool.close()
    result.catalogue = cataloguer.finish()
    result.clocks = frozenset(screener.clocks)
    return result


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a chunk.

    Attributes:
        valid: rows that stay so far, in canonical form.
        original: those rows as they were read.
        reasons: every broken rule by row number, of warnings too, and the row's text if it may be
            shown.
        refused: number, reasons and original of each row that leaves; no reasons for a row that
            stays changed.
        private: index of the valid rows whose original is private.
        changed: how many rows were repaired, and how many redacted.
    """

    valid: pd.DataFrame
    original: pd.DataFrame
    reasons: list[tuple[int, list[tuple[str, str]], str]]
    refused: list[Refusal]
    private: set[int]
    changed: Counter[str]


def _count(result: Screened, judged: Judged, chunk: Chunk) -> None:
    part = result.task.part
    rows = len(chunk.frame) + len(chunk.unreadable)
    result.rows += rows
    result.left_out += sum(bool(reasons) for _, reasons, _ in judged.refused)
    result.changed += judged.changed
    config = result.task.config
    checked = rules.checked(applications.get(config.application), config)
    result.findings.saw([rules.UNREADABLE], rows)
    result.findings.saw(checked, len(chunk.frame))
    for row, reasons, text in judged.reasons:
        place = Place(part.split, part.file, row)
        # A rule may be broken twice in a row, but counts rows.
        for rule, reason in dict(reversed(reasons)).items():
            result.findings.add(rule, Example(place, reason, text))


class Screener:
    """Judges rows chunk by chunk.

    Args:
        config: the pipeline.
        application: its application.
        layout: columns of the files.
        fixes: rows that a person has repaired.
        alone: the rows say nothing about their columns, because there are few.
    """

    def __init__(
        self,
        config: Pipeline,
        application: Application,
        layout: Layout,
        fixes: Fixes,
        *,
        alone: bool = False,
    ) -> None:
        self._config = config
        self._application = application
        self._layout = layout
        self._fixes = fixes
        self._rewriter = Rewriter(config, application)
        self._texts = [name for name in application.rows.texts(config) if name in layout.mapping]
        self._unseen = not alone
        self.clocks: set[str] = set()

    @cached_property
    def _cells(self) -> DataFrameSchema:
        return self._application.rules.schema(self._config)

    @cached_property
    def _form(self) -> DataFrameSchema:
        return rules.form_schema(self._texts, self._config.contract)

    def judge(self, chunk: Chunk) -> Judged:
        """Rewrite rows, run every check, and split by what happens to each."""
        if self._fixes:
            chunk = self._fixed(chunk)
        frame, original = chunk.frame.copy(), chunk.frame
        if self._unseen:
            self._refuse_numbers(frame)
            self._unseen = False
        self._application.rows.normalize(frame, self._config.data, self._layout.names)
        changed = self._rewriter.apply(frame)
        targets = self._rewriter.private_targets(frame)
        reasons = rules.merge(self._reasons(frame), self._undated(frame), targets, _done(changed))
        leaving = {index for index, found in reasons.items() if self._leaves(found)}
        numbers = frame["row"]
        refused: list[Refusal] = [
            (int(numbers[index]), self._counted(reasons[index]), _raw(original, index))
            for index in sorted(leaving)
        ]
        private = (changed.keys() | self._rewriter.private_groups(frame)) - leaving
        refused += [(int(numbers[index]), [], _raw(original, index)) for index in sorted(private)]
        refused += [
            (one.row, [(rules.UNREADABLE, one.reason)], one.raw) for one in chunk.unreadable
        ]
        broken = [
            (int(numbers[index]), found, self._shown(frame, index))
            for index, found in sorted(reasons.items())
        ]
        broken += [(one.row, [(rules.UNREADABLE, one.reason)], "") for one in chunk.unreadable]
        gone = list(leaving)
        return Judged(
            frame.drop(index=gone),
            original.drop(index=gone),
            broken,
            refused,
            private,
            rewriting.tally(changed),
        )

    def _fixed(self, chunk: Chunk) -> Chunk:
        """The rows, repaired where a person has."""
        import pandas as pd

        rows = chunk.frame.to_dict("records")
        fixed = [self._repaired({str(k): v for k, v in row.items()}) for row in rows]
        unreadable = []
        for one in chunk.unreadable:
            if row := self._fixes.of(one.raw):
                fixed.append(
                    {name: row.get(name) for name in self._layout.mapping} | {"row": one.row}
                )
            else:
                unreadable.append(one)
        frame = pd.DataFrame(fixed, columns=chunk.frame.columns, dtype=object)
        return Chunk(frame.astype({"row": "int64"}), unreadable)

    def _repaired(self, row: dict[str, Any]) -> dict[str, Any]:
        number = row.pop("row")
        return row | (self._fixes.of(row) or {}) | {"row": number}

    def _reasons(self, frame: pd.DataFrame) -> Reasons:
        cells = rules.violations(frame, self._cells)
        whole = frame.drop(index=list(cells)) if cells else frame
        form = rules.violations(self._as_arrow(whole), self._form)
        between = self._application.rules.findings(whole, self._config) if len(whole) else {}
        return rules.merge(cells, form, between)

    def _undated(self, frame: pd.DataFrame) -> Reasons:
        """Read the column of the window, in place; what is wrong with it."""
        if WINDOW not in frame:
            return {}
        moments, reasons, clocks = window.read(frame[WINDOW], self._config.data.window)
        self.clocks |= clocks
        frame[WINDOW] = moments
        return reasons

    def _as_arrow(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        text = pd.ArrowDtype(pa.large_string())
        return pd.DataFrame(
            {name: frame[name].astype(text) for name in self._texts}, index=frame.index
        )

    def _leaves(self, reasons: Iterable[tuple[str, str]]) -> bool:
        return any(
            rules.severity(rule, self._config.contract) in ("refuse", "quarantine")
            for rule, _ in reasons
        )

    def _shown(self, frame: pd.DataFrame, index: int) -> str:
        if not self._config.contract.show_text:
            return ""
        texts = (frame.at[index, name] for name in self._texts)
        return "\n".join(text for text in texts if isinstance(text, str))

    def _counted(self, reasons: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The reasons to leave first, warnings after them."""
        contract = self._config.contract
        reasons = [reason for reason in reasons if reason[0] != rules.REPAIRED]
        return sorted(reasons, key=lambda it: rules.severity(it[0], contract) in PASSING)

    def _refuse_numbers(self, frame: pd.DataFrame) -> None:
        """Refuse a text column that holds numbers: the mapping is wrong."""
        problems = []
        for column in self._texts:
            sample = frame[column].dropna().head(ENOUGH)
            if len(sample) and sample.map(_is_number).all():
                message = f"expected text in column {column!r}, found only numbers"
                advice = f"name the column with the text in data.columns.{column}"
                problems.append(Problem(self._layout.files[0], message, advice))
        if problems:
            raise DataError(problems)


def _done(changed: Mapping[int, set[str]]) -> Reasons:
    """What was done to rows, as rules."""
    return {
        index: [
            (rules.REPAIRED, "damaged characters were mended")
            if what == "repair"
            else (f"privacy.{what}", f"private data: {what}")
            for what in sorted(done)
        ]
        for index, done in changed.items()
    }


def _raw(original: pd.DataFrame, index: int) -> dict[str, Any]:
    return {str(name): value for name, value in original.loc[index].items() if name != "row"}


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False
    return True
