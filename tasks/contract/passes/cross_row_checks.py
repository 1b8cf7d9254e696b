"""Rules that need all rows: repeats, groups, rare labels, and the splits themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Pipeline
from tasks.applications.base import Application
from tasks.applications.facts import Census, labels_of
from tasks.contract.passes.first_pass import FirstPassResult
from tasks.contract.rows import sampling, splitting, window
from tasks.contract.rows.catalogue import NO_GROUP, Catalogue, Hashes
from tasks.contract.rules import cells, repeats
from tasks.contract.rules.findings import Example, Findings, Place
from tasks.contract.rules.repeats import KEPT_FIRST, RANK, Mask, Rows
from tasks.contract.sources.splits import SPLITS

Broken = tuple[int, str]
"""Position of a row, and the reason."""


@dataclass(frozen=True)
class CrossRowResult:
    """All rows after the checks across rows.

    Attributes:
        first: result of the first pass; its rows are in their declared splits.
        rows: the same rows, also in the splits that were made from fractions.
        kept: mask of the rows that stay.
        outside: how many rows the window leaves out: neither kept nor set aside.
        dropped: positions of the rows that leave without being set aside.
        superseded: positions of the rows that leave because a later row has their id and inputs.
        outdated: mask of the rows with another target than the last row with their input.
        reasons: by position of a row that is set aside, the rules and reasons.
        findings: what each rule of both kinds found.
        problems: why the splits cannot be made.
    """

    first: FirstPassResult
    rows: Catalogue
    kept: Mask
    outside: int
    dropped: Sequence[int]
    superseded: Sequence[int]
    outdated: Mask
    reasons: dict[int, list[tuple[str, str]]]
    findings: Findings
    problems: list[Problem] = field(default_factory=list)

    def place(self, position: int) -> Place:
        """The split, file and number of a row."""
        return self.rows.place(position, self.first.layout.files)

    def census(self, inputs: Sequence[str]) -> Census:
        """The rows that stay, as applications judge them."""
        return self.rows.census(self.kept, inputs, self.first.layout.files)

    def rows_read(self) -> dict[str, int]:
        """Rows read by split; those that left in the first pass count where they were declared."""
        others = self.first.rejected_by_split + self.first.empty_by_split
        return {split: n + others[split] for split, n in _sizes(self.rows.split).items()}

    def rows_kept(self) -> dict[str, int]:
        """Rows that stay by split."""
        return _sizes(self.rows.split[self.kept])

    def rows_dropped(self) -> dict[str, int]:
        """Rows that were dropped by split."""
        return _sizes(self.rows.split[list(self.dropped)])

    def rows_superseded(self) -> dict[str, int]:
        """Rows that a later row supersedes, by split."""
        return _sizes(self.rows.split[list(self.superseded)])

    def conflicting(self) -> int:
        """Rows that are set aside since their input has another target too."""
        return sum(
            rule == "label_conflict" or (rule == "duplicates" and bool(self.outdated[position]))
            for position, ((rule, _), *_others) in self.reasons.items()
        )


def _sizes(splits: NDArray[np.int8]) -> dict[str, int]:
    counts = np.bincount(splits, minlength=len(SPLITS))
    return dict(zip(SPLITS, map(int, counts), strict=True))


def check(config: Pipeline, application: Application, first: FirstPassResult) -> CrossRowResult:
    """Apply the window and then every rule, in the order in which rows leave."""
    checks = _Checks(config, application, first)
    problems: list[Problem] = []
    try:
        checks.run()
    except DataError as error:
        problems += error.problems
    return CrossRowResult(
        first,
        checks.rows,
        checks.kept,
        checks.outside,
        checks.dropped,
        checks.superseded,
        checks.outdated,
        checks.reasons,
        checks.findings,
        problems,
    )


class _Checks:
    """The rows that stay so far, and what each rule has found."""

    def __init__(self, config: Pipeline, application: Application, first: FirstPassResult) -> None:
        self.config = config
        self.application = application
        self.first = first
        self.rows = first.rows
        self.kept: Mask = np.ones(len(first.rows), dtype=bool)
        self.outside = 0
        self.dropped: list[int] = []
        self.superseded: Sequence[int] = ()
        self.outdated: Mask = ~self.kept
        self.reasons: dict[int, list[tuple[str, str]]] = {}
        self.findings = Findings()
        self.findings.merge(first.findings)

    def run(self) -> None:
        """Run every rule.

        Raises:
            DataError: values of the window's column cannot be compared, or the splits cannot be
                made.
        """
        self._leave_superseded()
        self._leave_outside()
        if self.config.data.group_column:
            # First, or a row could leave as a duplicate of one that leaves with its group.
            self._apply("group_leakage", self._leaks(self.rows.group, "group"))
        if self.application.rows.one_target_per_input:
            self._apply("label_conflict", self._conflicts())
        self._check_duplicates()
        self._check_language()
        if self.config.contract.rules.rare_label == "quarantine":
            # Such labels may have too few rows to be split.
            self._apply("rare_label", self._rare(), looked_at=False)
        # Rows with the same text go to the same split.
        self.rows = replace(self.rows, split=splitting.assign(self.rows, self.kept, self.config))
        self._apply("leakage", self._leaks(self.rows.leakage, "text"))
        self._check_similarity()
        self._apply("rare_label", self._rare(), looked_at=bool(len(self.rows.target)))

    def _leave_superseded(self) -> None:
        """Leave out the earlier readings of a row before anything is compared with them."""
        if len(self.rows.record) and self.config.contract.rules.duplicates != "refuse":
            self.superseded = repeats.superseded(self.rows).tolist()
            self.kept[self.superseded] = False

    def _leave_outside(self) -> None:
        """Leave out the training rows outside the window before they are compared with others."""
        kinds = self.first.window_kinds
        outside = window.outside(self.rows, self.kept, self.config.data.window, kinds)
        self.kept[outside] = False
        self.outside = len(outside)

    def _apply(
        self,
        rule: str,
        broken: Iterable[Broken],
        *,
        looked_at: bool = True,
        severity: str | None = None,
    ) -> None:
        """Count the rows that break a rule, and take them out if its severity says so."""
        if looked_at:
            self.findings.saw([rule], int(self.kept.sum()))
        severity = severity or cells.severity(rule, self.config.contract)
        leaving = []
        for position, reason in broken:
            place = self.rows.place(position, self.first.layout.files)
            self.findings.add(rule, Example(place, reason, self._text(rule, position)))
            if severity not in ("warn", "drop"):
                self.reasons.setdefault(position, []).append((rule, reason))
            if severity != "warn":
                leaving.append(position)
        if severity == "drop":
            self.dropped += leaving
        self.kept[leaving] = False

    def _text(self, rule: str, position: int) -> str:
        """The text of a row, if the report wants it and may show it."""
        if not (self.config.contract.show_text and self.findings.wants(rule)):
            return ""
        columns = tuple(self.application.rows.texts(self.config))
        return sampling.texts_of(self.first.spool, np.array([position]), columns)[0]

    def _conflicts(self) -> Iterator[Broken]:
        for position, first in zip(*repeats.conflicts(self.rows, self.kept), strict=True):
            words = english(
                "the same input has several targets, first in {other}", other=self._row_of(first)
            )
            yield int(position), f"label_conflict: {words}"

    def _check_duplicates(self) -> None:
        """Apply the rule; of rows with the same input, only those with one target are copies."""
        # Before copies leave, since the row that was read last may be one of them.
        self.outdated = repeats.outdated(self.rows, self.kept)
        rows, dropping = self.rows, self.config.contract.rules.duplicates == "drop"
        self._apply("duplicates", self._duplicates(rows.content if dropping else rows.duplicates))
        if dropping:
            others = self._duplicates(rows.duplicates)
            self._apply("duplicates", others, looked_at=False, severity="quarantine")

    def _duplicates(self, hashes: Hashes) -> Iterator[Broken]:
        found = repeats.duplicates(self.rows, self.kept, hashes, self.outdated)
        for position, first in zip(*found, strict=True):
            other = self._row_of(first)
            words = english("the same text as {other}", other=other)
            if self.rows.content[position] != self.rows.content[first]:
                words = english("the same text as {other}, with another target", other=other)
            yield int(position), f"duplicate: {words}"

    def _leaks(self, hashes: Hashes, what: str) -> Iterator[Broken]:
        kept = self.kept & (hashes != NO_GROUP)
        for position, rank in zip(*repeats.leaks(self.rows, kept, hashes), strict=True):
            split = KEPT_FIRST[rank]
            words = english("the same {share} is in the {split} split", share=what, split=split)
            yield int(position), f"leakage: {words}"

    def _row_of(self, position: int) -> str:
        place = self.rows.place(position, self.first.layout.files)
        return english("{place} in the {split} split", place=place, split=place.split)

    def _sample(self) -> Rows:
        return sampling.smallest(self.rows, self.kept, self.config.contract.sample_size)

    def _check_language(self) -> None:
        sample, languages = self._sample(), self.application.rows.texts(self.config)
        broken = dict(sampling.in_wrong_language(self.first.spool, sample, languages))
        self.findings.saw(["wrong_language"], len(sample))
        self._apply("wrong_language", broken.items(), looked_at=False)

    def _check_similarity(self) -> None:
        compared, pairs = self._similar_pairs()
        self.findings.saw(["near_duplicates", "near_leakage"], compared)
        splits = self.rows.split
        across = [pair for pair in pairs if splits[pair[0]] != splits[pair[1]]]
        inside = [pair for pair in pairs if splits[pair[0]] == splits[pair[1]]]
        self._apply("near_leakage", self._similar(across, "near_leakage"), looked_at=False)
        self._apply("near_duplicates", self._similar(inside, "near_duplicate"), looked_at=False)

    def _similar_pairs(self) -> tuple[int, list[sampling.Pair]]:
        sample, spool, data = self._sample(), self.first.spool, self.config.data
        compared = self.application.rows.compared(data)
        identity = self.application.rows.identity("leakage", data)
        equal = tuple(name for name in identity if name not in compared)
        return sampling.similar_pairs(
            sampling.texts_of(spool, sample, compared),
            sampling.texts_of(spool, sample, equal),
            sample,
            self.rows,
            self.config.contract.near_duplicate_threshold,
            self.config.seed,
        )

    def _similar(self, pairs: Iterable[sampling.Pair], what: str) -> Iterator[Broken]:
        """The row of each pair that leaves, unless one of the two has left for another pair."""
        gone: set[int] = set()
        # In the order in which rows are kept, so that it is decided which row leaves first.
        for leaves, stays, similarity in sorted(pairs, key=lambda pair: self._turn(pair[0])):
            known = self.kept[leaves] and self.kept[stays]
            if not known or leaves in gone or stays in gone:
                continue
            gone.add(leaves)
            words = self._row_of(stays)
            words = english("{share:.0%} the same as {other}", share=similarity, other=words)
            yield leaves, f"{what}: {words}"

    def _turn(self, position: int) -> tuple[int, int]:
        return int(RANK[self.rows.split[position]]), int(self.rows.content[position])

    def _rare(self) -> Iterator[Broken]:
        """Rows whose label has too few training rows, unless the run is refused for such labels."""
        contract, rows = self.config.contract, self.rows
        if contract.rules.rare_label == "refuse" or not len(rows.target):
            return
        minimum = contract.min_rows_per_class
        counts = rows.census(self.kept, (), self.first.layout.files).labels("train")
        rare = [any(counts[label] < minimum for label in labels_of(v)) for v in rows.values]
        for position in np.flatnonzero(self.kept & np.array(rare)[rows.target]):
            words = english("the label has fewer than {minimum} training rows", minimum=minimum)
            yield int(position), words
