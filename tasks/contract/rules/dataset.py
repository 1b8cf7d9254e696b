"""Rules that need all rows: repeats, groups, rare labels, and the splits themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from configs.schema import Pipeline
from tasks.applications.base import Application
from tasks.applications.census import Census, labels_of
from tasks.contract.rows import sampling, splitting, window
from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules import cells, repeats
from tasks.contract.rules.findings import Example, Findings, Place
from tasks.contract.rules.repeats import KEPT_FIRST, RANK, Mask
from tasks.contract.sources.splits import SPLITS

Reason = tuple[int, str]


class Whole:
    """All rows that are valid by themselves, held against each other.

    Attributes:
        rows: the catalogue; its splits change when some are made from fractions.
        kept: which rows stay.
        outside: rows that the window leaves out: neither kept nor set aside.
        reasons: the rules that rows broke here, by position.
        findings: counts and first places.
    """

    def __init__(
        self,
        config: Pipeline,
        application: Application,
        rows: Catalogue,
        spool: SpoolReader,
        files: tuple[str, ...],
        findings: Findings,
    ) -> None:
        self.config = config
        self.application = application
        self.rows = rows
        self.spool = spool
        self.files = files
        self.findings = findings
        self.kept: Mask = np.ones(len(rows), dtype=bool)
        self.outside = 0
        self.reasons: dict[int, list[tuple[str, str]]] = {}

    def leave_out(self, clocks: set[str]) -> None:
        """Drop the training rows outside the window, before they can meet another row.

        Args:
            clocks: what the column of the window holds.

        Raises:
            DataError: its values cannot be compared.
        """
        late = window.outside(self.rows, self.config.data.window, clocks)
        self.kept[late] = False
        self.outside = len(late)

    def judge(self) -> None:
        """Run every rule, in the order in which rows leave.

        Raises:
            DataError: the splits cannot be made.
        """
        if self.config.data.group_column:
            # First, or a row could leave as a duplicate of one that leaves with its group.
            self._apply("group_leakage", self._leaks(self.rows.group, "group"))
        if self.application.rows.one_target_per_input:
            self._apply("label_conflict", self._conflicts())
        self._apply("duplicates", self._duplicates())
        self._language()
        if self.config.contract.rules.rare_label == "quarantine":
            # Too few to be split, perhaps.
            self._apply("rare_label", self._rare(), looked_at=False)
        self._split()
        self._apply("leakage", self._leaks(self.rows.leakage, "text"))
        self._near()
        self._apply("rare_label", self._rare(), looked_at=bool(len(self.rows.brief)))

    def place(self, position: int) -> Place:
        """Where a row came from."""
        rows = self.rows
        split, file = SPLITS[rows.split[position]], self.files[rows.file[position]]
        return Place(split, file, int(rows.row[position]))

    def census(self, inputs: Sequence[str]) -> Census:
        """The rows that stay, as applications judge them."""
        return self.rows.census(self.kept, inputs, self.files)

    def _apply(self, rule: str, found: Iterable[Reason], *, looked_at: bool = True) -> None:
        """Count the rows that break a rule, and drop them if its severity says so."""
        if looked_at:
            self.findings.saw([rule], int(self.kept.sum()))
        severity = cells.severity(rule, self.config.contract)
        leaving = []
        for position, reason in found:
            text = self._text(rule, position)
            self.findings.add(rule, Example(self.place(position), reason, text))
            if severity != "warn":
                self.reasons.setdefault(position, []).append((rule, reason))
                leaving.append(position)
        self.kept[leaving] = False

    def _text(self, rule: str, position: int) -> str:
        """What a row says, if the report wants it and may show it."""
        if not (self.config.contract.show_text and self.findings.wants(rule)):
            return ""
        columns = tuple(self.application.rows.texts(self.config))
        return sampling.texts_of(self.spool, np.array([position]), columns)[0]

    def _conflicts(self) -> Iterator[Reason]:
        for position, first in zip(*repeats.conflicts(self.rows, self.kept), strict=True):
            where = f"first in row {self.rows.row[first]} of the {self._split_of(first)} split"
            yield int(position), f"label_conflict: the same input has several targets, {where}"

    def _duplicates(self) -> Iterator[Reason]:
        for position, first in zip(*repeats.duplicates(self.rows, self.kept), strict=True):
            where = f"row {self.rows.row[first]} of the {self._split_of(first)} split"
            yield int(position), f"duplicate: the same text as {where}"

    def _leaks(self, hashes: Any, what: str) -> Iterator[Reason]:
        for position, rank in zip(*repeats.leaks(self.rows, self.kept, hashes), strict=True):
            yield int(position), f"leakage: the same {what} is in the {KEPT_FIRST[rank]} split"

    def _split_of(self, position: int) -> str:
        return SPLITS[self.rows.split[position]]

    def _language(self) -> None:
        sample = sampling.smallest(self.rows, self.kept, self.config.contract.sample_size)
        languages = self.application.rows.texts(self.config)
        found = dict(sampling.in_wrong_language(self.spool, sample, languages))
        self.findings.saw(["wrong_language"], len(sample))
        self._apply("wrong_language", found.items(), looked_at=False)

    def _near(self) -> None:
        contract, seed = self.config.contract, self.config.seed
        sample = sampling.smallest(self.rows, self.kept, contract.sample_size)
        same = self.application.rows.identity("leakage", self.config.data)
        near = self.application.rows.compared(self.config.data)
        texts = sampling.texts_of(self.spool, sample, near)
        others = sampling.texts_of(self.spool, sample, tuple(n for n in same if n not in near))
        compared, pairs = sampling.near(
            texts, others, sample, self.rows, contract.near_duplicate_threshold, seed
        )
        self.findings.saw(["near_duplicates", "near_leakage"], compared)
        inside = (pair for pair in pairs if self.rows.split[pair[0]] == self.rows.split[pair[1]])
        across = (pair for pair in pairs if self.rows.split[pair[0]] != self.rows.split[pair[1]])
        self._apply("near_leakage", self._nearly(across, "near_leakage"), looked_at=False)
        self._apply("near_duplicates", self._nearly(inside, "near_duplicate"), looked_at=False)

    def _nearly(self, pairs: Iterable[tuple[int, int, float]], what: str) -> Iterator[Reason]:
        gone: set[int] = set()
        # In the order in which rows are kept, so that whoever could make a row leave is decided.
        for leaves, stays, alike in sorted(pairs, key=lambda pair: self._turn(pair[0])):
            known = self.kept[leaves] and self.kept[stays]
            if not known or leaves in gone or stays in gone:
                continue
            gone.add(leaves)
            where = f"row {self.rows.row[stays]} of the {self._split_of(stays)} split"
            yield leaves, f"{what}: {alike:.0%} the same as {where}"

    def _turn(self, position: int) -> tuple[int, int]:
        rows = self.rows
        return int(RANK[rows.split[position]]), int(rows.content[position])

    def _rare(self) -> Iterator[Reason]:
        """Rows whose label too few training rows have, unless the run is to end for it."""
        contract, rows = self.config.contract, self.rows
        if contract.rules.rare_label == "refuse" or not len(rows.brief):
            return
        minimum = contract.min_rows_per_class
        counts = self.census(()).labels("train")
        rare = [any(counts[label] < minimum for label in labels_of(v)) for v in rows.values]
        for position in np.flatnonzero(self.kept & np.array(rare)[rows.brief]):
            yield int(position), f"the label has fewer than {minimum} training rows"

    def _split(self) -> None:
        """Make the splits that are declared as fractions; rows with the same text go together."""
        self.rows.split = splitting.assign(self.rows, self.kept, self.config)

    @property
    def rare_minimum(self) -> int:
        """The fewest training rows of a label that a run is not refused for."""
        refused = self.config.contract.rules.rare_label == "refuse"
        return self.config.contract.min_rows_per_class if refused else 1
