"""The facts of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.applications.facts import Facts


@dataclass(frozen=True, kw_only=True)
class ClassificationFacts(Facts):
    """What a classifier freezes.

    Attributes:
        labelling: as ``data.labelling``.
        labels: in their frozen order.
        counts: training rows with each label.
        rows: training rows.
        scale: of ordinal labels, the number that stands for each.
        threshold: of multiple labels, the probability from which a label is predicted.
    """

    labelling: Literal["single", "multiple", "ordinal"]
    labels: tuple[str, ...]
    counts: Mapping[str, int]
    rows: int
    scale: tuple[float, ...] | None = None
    threshold: float | None = None

    @property
    def frequencies(self) -> list[int]:
        """Training rows with each label, in the order of the labels."""
        return [self.counts[label] for label in self.labels]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The scale; empty where labels have no order."""
        return self.scale or ()
