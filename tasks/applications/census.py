"""Counts of the rows of each split by target, from which datasets are checked and learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def labels_of(key: Any) -> tuple[Any, ...]:
    """The labels in a target key: one, or those of a tuple."""
    return key if isinstance(key, tuple) else (key,)


@dataclass(frozen=True, slots=True)
class Census:
    """Rows by split and by target key, as :meth:`Rows.target_keys` makes them.

    Attributes:
        inputs: the text columns that rows have.
        counts: rows by split and target key.
        first: file and row of the first row with a target key, by split.
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
        for key, rows in self.counts.get(split, {}).items():
            for label in labels_of(key):
                totals[label] += rows
        return totals

    def place(self, split: str, label: str) -> str:
        """File and row of the first row with a label."""
        return next(
            where
            for (name, key), where in self.first.items()
            if name == split and label in labels_of(key)
        )
