"""Findings by rule: counts, and the places of the first rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from configs.language import english

EXAMPLES = 5


class Place(NamedTuple):
    """Where a row came from."""

    split: str
    file: str
    row: int

    def __str__(self) -> str:
        return english("{file} row {row:d}", file=self.file, row=self.row)


class Example(NamedTuple):
    """A row that breaks a rule; its text is empty unless the contract allows to show it."""

    place: Place
    reason: str
    text: str = ""


@dataclass
class Findings:
    """Findings that add up over the parts of a data set.

    By rule: the rows that break it, the first of them, and the rows that it checked.
    """

    found: Counter[str] = field(default_factory=Counter)
    looked_at: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))

    def saw(self, rules: Iterable[str], rows: int) -> None:
        """Count rows that rules checked."""
        for rule in rules:
            self.looked_at[rule] += rows

    def add(self, rule: str, example: Example) -> None:
        """Count a row that breaks a rule."""
        self.found[rule] += 1
        if self.wants(rule):
            self.examples[rule].append(example)

    def wants(self, rule: str) -> bool:
        """Whether a rule has room for another example."""
        return len(self.examples[rule]) < EXAMPLES

    def merge(self, other: Findings, rows_before: int = 0) -> None:
        """Add findings of a later part, whose row numbers begin after ``rows_before``."""
        self.found.update(other.found)
        self.looked_at.update(other.looked_at)
        for rule, examples in other.examples.items():
            for example in examples[: EXAMPLES - len(self.examples[rule])]:
                place = example.place._replace(row=example.place.row + rows_before)
                self.examples[rule].append(example._replace(place=place))
