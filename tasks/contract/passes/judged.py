"""All rows of a pipeline, between the two passes of the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError, Problem, StorageFailure
from configs.schema import Pipeline
from tasks.applications.base import Application, Facts
from tasks.contract.passes import writing
from tasks.contract.passes.screening import PartResult
from tasks.contract.report import label_quality
from tasks.contract.report import record as outcome
from tasks.contract.rows import catalogue, extra_columns, quarantine, spool
from tasks.contract.rows.layout import Layout
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules import cells
from tasks.contract.rules.dataset import Whole
from tasks.contract.rules.findings import Findings, Place
from tasks.contract.sources.splits import SPLITS, Sources
from tasks.contract.statistics.profile import Profile
from tasks.store import write_json

MOST_REASONS = 5


class Judged:
    """The rows of all parts, from the first pass to the last."""

    def __init__(
        self,
        config: Pipeline,
        application: Application,
        layout: Layout,
        screened: list[PartResult],
        workers: int,
    ) -> None:
        self.config = config
        self.application = application
        self.layout = layout
        self.screened = screened
        self.workers = workers
        self.before = _rows_before(screened)
        self.findings = Findings()
        self.changed: Counter[str] = Counter()
        for part, before in zip(screened, self.before, strict=True):
            self.findings.merge(part.findings, before)
            self.changed += part.changed
        sizes = [len(part.catalogue) for part in screened]
        rows = catalogue.merged([part.catalogue for part in screened], self.before)
        self.declared = rows.split.copy()
        spooled = SpoolReader([part.task.spool for part in screened], sizes)
        self.whole = Whole(config, application, rows, spooled, layout.files, self.findings)
        self.clocks = set().union(*(part.units for part in screened))
        self.total = sum(part.rows for part in screened)
        self.left_out = 0
        self.profiles: dict[str, Profile] = {}
        self.quality: dict[str, Any] = {}

    def hold_against_each_other(self) -> list[Problem]:
        """Apply the rules that need all rows; what keeps the splits from being made."""
        try:
            self.whole.leave_out(self.clocks)
            self.whole.judge()
        except DataError as error:
            # A column that holds no labels cannot be split by label either.
            return self._unlearnable() or list(error.problems)
        return []

    def _unlearnable(self) -> list[Problem]:
        try:
            self.application.learning.learn(self.whole.census(self._texts()), self.config.data)
        except DataError as error:
            return list(error.problems)
        return []

    def set_aside(self, writer: quarantine.Writer, sources: Sources) -> None:
        """Write every row that leaves, as it was read."""
        leaving = np.array(sorted(self.whole.reasons), dtype=np.int64)
        places = {self._declared_place(int(position)): int(position) for position in leaving}
        alone = (entry for entry in self._refused() if entry["reasons"])
        gone = chain(places, map(quarantine.place, alone))
        with extra_columns.lookup(gone, self.layout, sources) as lookup:
            for entry in self._leaving(leaving, places):
                more = lookup(quarantine.place(entry))
                writer.add(entry | ({"others": more} if more else {}))
        self._require_all(writer)

    def _refused(self) -> Iterator[quarantine.Record]:
        """The records of the first pass: rows that left, and originals of rows that changed."""
        for part, before in zip(self.screened, self.before, strict=True):
            for entry in quarantine.read(part.task.rejected):
                yield entry | {"row": entry["row"] + before}

    def _leaving(
        self, leaving: NDArray[np.int64], places: Mapping[Place, int]
    ) -> Iterator[quarantine.Record]:
        """Rows that left by themselves, then those that leave for what another row says."""
        originals: dict[int, Any] = {}
        for entry in self._refused():
            if entry["reasons"]:
                yield entry
            elif (place := quarantine.place(entry)) in places:
                originals[places[place]] = entry["raw"]
        for start, table in self.whole.spool.take(leaving):
            for offset, raw in enumerate(spool.originals(table)):
                position = int(leaving[start + offset])
                reasons = self.whole.reasons[position]
                row = originals.get(position, raw)
                yield quarantine.record(self._declared_place(position), reasons, row)

    def _require_all(self, writer: quarantine.Writer) -> None:
        self.left_out = writer.rows
        kept, outside = int(self.whole.kept.sum()), self.whole.outside
        if kept + self.left_out + outside != self.total:
            found = f"{kept} kept, {self.left_out} set aside, {outside} outside of {self.total}"
            raise StorageFailure(f"rows were lost between the passes: {found}")

    def _declared_place(self, position: int) -> Place:
        split = SPLITS[self.declared[position]]
        return self.whole.place(position)._replace(split=split)

    def refusals(self, writer: quarantine.Writer) -> list[Problem]:
        """Rules that allow no row to break them, and too many rows set aside."""
        if not self._read()["train"]:
            where = self.layout.files[0] if self.total else "data.train"
            return [Problem(where, "expected rows, found only a header")]
        problems = []
        for rule in self.findings.found:
            if cells.severity(rule, self.config.contract) == "refuse":
                place, reason, _ = self.findings.examples[rule][0]
                section = "privacy" if rule.startswith("privacy.") else "rules"
                setting = f"contract.{section}.{rule.removeprefix('privacy.')}"
                count = self.findings.found[rule]
                message = f"{count} rows break the rule `{rule}`, and {setting} is `refuse`"
                problems.append(Problem(str(place), message, reason))
        return problems + self._too_many(writer)

    def _too_many(self, writer: quarantine.Writer) -> list[Problem]:
        limit = self.config.contract.max_quarantined
        if self.left_out <= limit * self.total or writer.first is None:
            return []
        ranked = sorted(writer.kinds.items(), key=lambda item: (-item[1], item[0]))
        named = "; ".join(f"{n} x {reason}" for reason, n in ranked[:MOST_REASONS])
        if len(ranked) > MOST_REASONS:
            named += f"; and {len(ranked) - MOST_REASONS} more kinds"
        found = f"{self.left_out} of {self.total} rows break the contract"
        message = f"{found}, more than {limit:.1%} ({named})"
        advice = f"see {writer.path}, repair the rows, or raise contract.max_quarantined"
        first = writer.first
        return [Problem(f"{first['file']} row {first['row']}", message, advice)]

    def finish(self, folder: Path) -> list[Problem]:
        """Learn from the rows that stay and write them; what is wrong with the splits."""
        census = self.whole.census(self._texts())
        try:
            facts = self.application.learning.learn(census, self.config.data)
        except DataError as error:
            return list(error.problems)
        empty = [split for split in SPLITS if not census.rows(split)]
        found = [f"no row is left for the {split} split" for split in empty]
        found += self.application.rules.dataset_problems(census, facts, self.whole.rare_minimum)
        if found:
            return [Problem(self.layout.files[0], problem) for problem in found]
        self._write(folder, facts)
        return []

    def _texts(self) -> list[str]:
        return [n for n in self.application.rows.texts(self.config) if n in self.layout.mapping]

    def _write(self, folder: Path, facts: Facts) -> None:
        self.profiles = writing.write(self.whole, folder, facts, self._texts(), self.workers)
        write_json(folder / "facts.json", facts.record())
        write_json(folder / "profile.json", self.profiles["train"].to_dict())
        if self.config.contract.label_quality:
            self.quality = label_quality.quality(folder, self.config, facts, self.layout.files)

    def report(self, problems: list[Problem]) -> outcome.Report:
        """Everything that was found, for people."""
        names = [Path(name).name for name in self.layout.files]
        kept = self._sizes(self.whole.kept)
        record = {
            "application": self.config.application,
            "verdict": "refused" if problems else "passed",
            "refusals": [str(problem) for problem in problems],
            "files": names,
            "rows": {
                "in": self.total,
                "kept": int(self.whole.kept.sum()),
                "quarantined": self.left_out,
                "outside": self.whole.outside,
                "repaired": self.changed["repaired"],
                "redacted": self.changed["redacted"],
            },
            "splits": outcome.sizes(self._read(), kept, self.whole.outside),
            "rules": outcome.described(self.config, self.findings),
            "distributions": outcome.distributions(self.profiles),
        }
        return record | ({"label_quality": self.quality} if self.quality else {})

    def _sizes(self, mask: Any) -> dict[str, int]:
        counts = np.bincount(self.whole.rows.split[mask], minlength=len(SPLITS))
        return dict(zip(SPLITS, map(int, counts), strict=True))

    def _read(self) -> dict[str, int]:
        """Rows read by split; those that left before splits were made count where declared."""
        rows = self._sizes(np.ones(len(self.whole.rows), dtype=bool))
        for part in self.screened:
            rows[part.task.part.split] += part.left_out
        return rows

    def summary(self) -> dict[str, Any]:
        """The few numbers that the stage reports."""
        counts = {name: self.findings.found[name] for name in sorted(self.findings.looked_at)}
        return {
            "rows": self.total,
            "quarantined": self.left_out,
            "outside": self.whole.outside,
            "repaired": self.changed["repaired"],
            "counts": counts | self._sizes(self.whole.kept),
            "checks": len(self.findings.looked_at),
            "files": [Path(name).name for name in self.layout.files],
        }


def _rows_before(screened: list[PartResult]) -> list[int]:
    """Rows of the same file and split in the blocks before each part."""
    seen: Counter[tuple[str, str]] = Counter()
    before = []
    for part in screened:
        key = (part.task.part.split, part.task.part.file)
        before.append(seen[key] if part.task.part.block else 0)
        seen[key] += part.rows
    return before
