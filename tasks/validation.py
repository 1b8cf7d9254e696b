"""Stage 1, data validation: labelled files in, rows that keep the contract out.

The first pass checks each row by itself, and keeps valid rows on disk and a few numbers of each in
memory; then rows are compared with each other; the second pass writes those that stay. A row that
breaks the contract goes to the quarantine with its file, row number and reasons.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, DataError, Problem
from configs.language import english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application, Facts
from tasks.arrow import MappedTable
from tasks.champion import slices
from tasks.contract.passes import (
    cross_row_checks,
    first_pass,
    rejected_rows,
    second_pass,
    verdict,
)
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.passes.first_pass import Folders
from tasks.contract.report import record
from tasks.contract.rows import layout as layouts
from tasks.contract.rows import quarantine
from tasks.contract.rows.quarantine import Fixes, QuarantineSummary
from tasks.contract.sources import splits
from tasks.contract.sources.splits import SPLITS, Sources
from tasks.contract.statistics.profile import Profile
from tasks.store import StoredResult, lock, read_json, write_json
from tasks.trace import span
from tasks.workspace import Workspace

VERSION = 9
NO_ROWS = {"train", "validation", "test"}
"""Settings of the data that do not change the rows, or are inputs of their own."""
ROWS = ("facts.json", *(f"{split}.arrow" for split in SPLITS))
"""The files with the rows and what is learned from them."""
NOT_ROWS = {"max_truncated", "max_unknown", "drift"}
"""Settings of the contract that other stages use."""


@dataclass(frozen=True, slots=True)
class ValidationResult(StoredResult):
    """The result of the stage.

    Attributes:
        stored: the output folder: an Arrow file per split, ``facts.json``, ``profile.json``,
            ``report.json``, ``quarantine.jsonl``.
        facts: what the training rows teach, such as labels and their counts.
        rows: rows kept by split.
        quarantined: rows set aside.
        sources: the declared files.
    """

    pipeline: str
    facts: Facts
    rows: dict[str, int]
    quarantined: int
    sources: Sources

    def table(self, split: str) -> MappedTable:
        """The rows of a split."""
        return MappedTable(self.stored.path / f"{split}.arrow")

    @property
    def digest(self) -> str:
        """Digest of the rows and facts, whatever their files are called."""
        return self.stored.content(*ROWS)

    @property
    def report(self) -> record.Report:
        """The report of the contract."""
        report: record.Report = read_json(self.stored.path / "report.json")
        return {"pipeline": self.pipeline} | report | {"digest": self.digest}

    @property
    def profile(self) -> Profile:
        """The profile of the training rows."""
        return Profile.from_dict(read_json(self.stored.path / "profile.json"))

    @property
    def note(self) -> str:
        """One line for people."""
        kept = english(
            "{train:,} train, {validation:,} validation, {test:,} test rows",
            **{split: self.rows[split] for split in SPLITS},
        )
        outside = self.stored.summary["outside"]
        note = english("{count:,} quarantined", count=self.quarantined)
        if dropped := self.stored.summary["dropped"]:
            note = english("{note}, {count:,} dropped as copies", note=note, count=dropped)
        if superseded := self.stored.summary["superseded"]:
            words = english("{count:,} superseded by a later row", count=superseded)
            note = f"{note}, {words}"
        if empty := self.stored.summary["empty"]:
            words = english("1 empty row left out")
            if empty > 1:
                words = english("{count:,} empty rows left out", count=empty)
            note = f"{note}, {words}"
        if outside:
            note = english("{note}, {count:,} outside the window", note=note, count=outside)
        return "; ".join([kept, note, *splits.describe(self.reading)])

    @property
    def reading(self) -> list[dict[str, str]]:
        """How each file was read that can be read in several ways: encoding, delimiter, sheet."""
        return list(self.stored.summary["reading"])


def validate(
    config: Pipeline,
    workspace: Workspace,
    sources: Sources,
    on_build: Callable[[], None] = lambda: None,
) -> ValidationResult:
    """Check the rows against the contract; ``on_build`` is called before, unless that was done.

    Raises:
        DataError: the files cannot be read, lack a column, or break the contract as a whole.
        ConfigError: a setting does not fit the facts.
    """
    slices.require_columns(config, sources)
    application = applications.get(config.application)
    fixes = Fixes(quarantine.fixes_of(workspace.root, config.name))
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "sources": sources.digest,
        "fixes": fixes.digest,
        "data": config.data.model_dump(mode="json", exclude=NO_ROWS),
        "fractions": [
            s for s in (config.data.validation, config.data.test) if isinstance(s, float)
        ],
        "contract": config.contract.model_dump(mode="json", exclude=NOT_ROWS),
        "language": config.language.model_dump(mode="json"),
        "rules": application.rules.inputs(config),
        "seed": config.seed,
    }

    def build(folder: Path) -> dict[str, Any]:
        on_build()
        return _build(folder, config, application, sources, workspace)

    stored = workspace.store.produce("validation", inputs, build, fresh=workspace.fresh, pure=ROWS)
    rows = {split: stored.summary["counts"][split] for split in SPLITS}
    facts = application.facts.read(read_json(stored.path / "facts.json"))
    if problems := list(application.rules.check_facts(config, facts)):
        raise ConfigError([Problem(where, what) for where, what in problems])
    if stored.reused:
        _restore_quarantine(config, workspace, stored.path)
    return ValidationResult(
        stored, config.name, facts, rows, stored.summary["quarantined"], sources
    )


def _restore_quarantine(config: Pipeline, workspace: Workspace, stored: Path) -> None:
    """Bring back the quarantine of these rows, which a run over other rows has replaced."""
    with _quarantine_lock(config, workspace):
        records = quarantine.read(stored / "quarantine.jsonl")
        quarantine.write(quarantine.file_of(workspace.root, config.name), records)


def _quarantine_lock(config: Pipeline, workspace: Workspace) -> AbstractContextManager[bool]:
    """Two runs of one pipeline write the same quarantine."""
    return lock(workspace.locks / f"quarantine-{config.name}.lock")


def _build(
    folder: Path,
    config: Pipeline,
    application: Application,
    sources: Sources,
    workspace: Workspace,
) -> dict[str, Any]:
    layout = layouts.find_columns(config.data, application, sources)
    problems: Sequence[Problem] = ()
    profiles: dict[str, Profile] = {}
    with _scratch(folder, config, workspace) as folders:
        workers = first_pass.count_workers(config, sources)
        with span("check rows"):
            first = first_pass.check_rows(config, layout, sources, folders, workers)
        with span("check across rows"):
            checked = cross_row_checks.check(config, application, first)
        aside = _set_aside(folder, config, checked, sources, workspace)
        try:
            facts = verdict.accept(config, application, checked, aside)
        except DataError as error:
            problems = error.problems
        else:
            with span("write rows"):
                profiles = second_pass.write(folder, config, checked, facts, workers)
            write_json(folder / "facts.json", facts.record())
            write_json(folder / "profile.json", profiles["train"].to_dict())
    reading = sources.reading()
    report = record.describe(config, checked, aside, problems, profiles) | {"reading": reading}
    if config.contract.label_quality and not problems:
        report |= record.label_quality(folder, config, facts, layout.files)
    named = {"pipeline": config.name} | report
    record.publish(workspace.root, named)
    if problems:
        raise DataError(problems, named)
    write_json(folder / "report.json", report)
    return _summary(checked, aside) | {"reading": reading}


def _set_aside(
    folder: Path,
    config: Pipeline,
    checked: CrossRowResult,
    sources: Sources,
    workspace: Workspace,
) -> QuarantineSummary:
    path = quarantine.file_of(workspace.root, config.name)
    with _quarantine_lock(config, workspace):
        written = rejected_rows.set_aside(path, checked, sources)
        shutil.copyfile(path, folder / "quarantine.jsonl")
    return written


def _summary(checked: CrossRowResult, aside: QuarantineSummary) -> dict[str, Any]:
    """The few numbers that the stage reports."""
    findings = checked.findings
    counts = {name: findings.found[name] for name in sorted(findings.looked_at)}
    return {
        "rows": checked.first.total,
        "quarantined": aside.rows,
        "dropped": len(checked.dropped),
        "superseded": len(checked.superseded),
        "empty": checked.first.empty,
        "outside": checked.outside,
        "repaired": checked.first.changed["repaired"],
        "counts": counts | checked.rows_kept(),
        "checks": len(findings.looked_at),
        "files": [Path(name).name for name in checked.first.layout.files],
    }


@contextmanager
def _scratch(folder: Path, config: Pipeline, workspace: Workspace) -> Iterator[Folders]:
    """Folders for the first pass; rejected rows stay below the quarantine, even if it is killed."""
    rejected = quarantine.folder(workspace.root) / f"{config.name}.{folder.stem[:8]}.parts"
    fixes = quarantine.fixes_of(workspace.root, config.name)
    folders = Folders(folder / "spool", rejected, fixes)
    for scratch in (folders.spool, folders.rejected):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
    try:
        yield folders
    finally:
        for scratch in (folders.spool, folders.rejected):
            shutil.rmtree(scratch, ignore_errors=True)
