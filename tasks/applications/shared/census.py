"""What a table as a whole is judged by: how many rows of each split have each target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def labels_of(value: Any) -> tuple[Any, ...]:
    """The labels that a brief target stands for: one, or those of a tuple."""
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True, slots=True)
class Census:
    """Rows by split and by what :meth:`Application.brief` made of their targets.

    Attributes:
        inputs: the text columns that rows have.
        counts: rows by split and brief target.
        first: file and row of the first row with a brief target, by split.
    """

    inputs: tuple[str, ...]
    counts: Mapping[str, Mapping[Any, int]]
    first: Mapping[tuple[str, Any], str] = field(default_factory=dict)

    def rows(self, split: str) -> int:
        """Rows of a split."""
        return sum(self.counts.get(split, {}).values())

    def labels(self, split: str) -> Counter[str]:
        """Rows of a split with each label; a row with several counts for each."""
        totals: Counter[str] = Counter()
        for value, rows in self.counts.get(split, {}).items():
            for label in labels_of(value):
                totals[label] += rows
        return totals

    def place(self, split: str, label: str) -> str:
        """File and row of the first row with a label."""
        return next(
            where
            for (name, value), where in self.first.items()
            if name == split and label in labels_of(value)
        )
