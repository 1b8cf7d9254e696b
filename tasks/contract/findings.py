"""What was found, by rule: counts and first places, never text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

EXAMPLES = 5


class Place(NamedTuple):
    """Where a row came from."""

    split: str
    file: str
    row: int

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.file} row {self.row}"


@dataclass
class Findings:
    """Counts that add up over the parts of a data set.

    Attributes:
        found: rows that break each rule.
        looked_at: rows that each rule has seen.
        examples: the first places of each rule, with the reason.
    """

    found: Counter[str] = field(default_factory=Counter)
    looked_at: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[Place, str]]] = field(default_factory=lambda: defaultdict(list))

    def saw(self, rules: Iterable[str], rows: int) -> None:
        """Count rows that rules looked at."""
        for rule in rules:
            self.looked_at[rule] += rows

    def add(self, place: Place, rule: str, reason: str) -> None:
        """Count a row that breaks a rule."""
        self.found[rule] += 1
        if len(self.examples[rule]) < EXAMPLES:
            self.examples[rule].append((place, reason))

    def merge(self, other: Findings, rows_before: int = 0) -> None:
        """Take in those of a later part, whose row numbers begin after ``rows_before``."""
        self.found.update(other.found)
        self.looked_at.update(other.looked_at)
        for rule, places in other.examples.items():
            moved = [(place._replace(row=place.row + rows_before), why) for place, why in places]
            self.examples[rule] += moved[: EXAMPLES - len(self.examples[rule])]
