"""Scorer of written texts: tables and plots of scores from 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications.bootstrap import mean_of
from tasks.applications.scoring import Predictions, Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TextScorer(Scorer):
    """Keeps the lengths of each row; a subclass keeps its scores.

    The ``metric`` is the key and the title of the score that orders the rows.
    """

    def __init__(self, source: str, target: str, metric: tuple[str, str]) -> None:
        self.source, self.target = source, target
        self.key, self.title = metric
        self._lengths: list[tuple[int, int, int]] = []

    def scores(self, rows: Ints | slice) -> dict[str, float]:
        """The scores of some rows together."""
        raise NotImplementedError

    def row_scores(self) -> Floats:
        """The score of each row alone that orders the rows, of shape (rows,)."""
        raise NotImplementedError

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: both columns, and the ``text`` that was written."""
        triples = zip(targets[self.source], targets[self.target], predictions["text"], strict=True)
        self._lengths += [(len(s), len(r), len(t)) for s, r, t in triples]

    def metrics(self) -> dict[str, float]:
        """Scores from 0 to 100; characters written for each of the references."""
        _, references, written = np.array(self._lengths, dtype=np.float64).T
        return self.scores(slice(None)) | {
            "length_ratio": float(written.sum() / references.sum()),
            "rows": float(len(written)),
        }

    def length_ratios(self, weights: Ints) -> Floats:
        """The ratio of lengths in samples, for :meth:`resampled`."""
        _, references, written = np.array(self._lengths, dtype=np.float64).T
        return mean_of(written, weights) / mean_of(references, weights)

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        """Scores of short, medium and long sources."""
        return [
            {f"{self.source} characters": name, "rows": len(rows)} | self.scores(rows)
            for name, rows in length_groups([source for source, _, _ in self._lengths])
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Rows with the lowest scores, and their lengths in characters."""
        scores = self.row_scores()
        return [
            {
                "position": int(index),
                self.key: float(scores[index]),
                "reference_characters": self._lengths[index][1],
                "written_characters": self._lengths[index][2],
            }
            for index in np.argsort(scores, kind="stable")[:limit]
        ]

    def figures(self) -> dict[str, Figure]:
        return {"row_scores": histogram(self.row_scores(), self.title)}


def length_groups(lengths: Sequence[int]) -> list[tuple[str, Ints]]:
    """Three groups of rows of about equal size by length: their bounds, and their positions."""
    values = np.asarray(lengths)
    bounds = np.unique(np.quantile(values, [0, 1 / 3, 2 / 3, 1]).astype(np.int64))
    if len(bounds) < 2:
        return [(str(bounds[0]), np.arange(len(values)))]
    index = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(bounds) - 2)
    return [
        (f"{bounds[group]}–{bounds[group + 1]}", np.flatnonzero(index == group))
        for group in range(len(bounds) - 1)
        if (index == group).any()
    ]


def histogram(values: Floats, name: str) -> Figure:
    """How a score from 0 to 100 is distributed over the rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=20, range=(0, 100), color="tab:blue")
    axes.axvline(float(values.mean()), color="black", linestyle="--", label="mean")
    axes.set(xlabel=f"{name} of a row", ylabel="rows", xlim=(0, 100), title=f"{name} by row")
    axes.legend()
    return figure
