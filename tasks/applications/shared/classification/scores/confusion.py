"""Metrics of one label per row that follow from the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications.bootstrap import percentiles
from tasks.applications.scoring import Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BY_CLASS = ("macro_f1", "macro_precision", "macro_recall", "quadratic_weighted_kappa")
"""Metrics to which the rows of a rare class contribute more than those of others."""


class ConfusionScorer(Scorer):
    """Accumulates true label, predicted label and scores of each row; labels are positions."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def columns(self) -> tuple[NDArray[Any], ...]:
        """True label, predicted label, and scores, each of shape (rows,)."""
        if len(self._parts) > 1:
            self._parts = [tuple(np.concatenate(parts) for parts in zip(*self._parts, strict=True))]
        return self._parts[0]

    def averages(self, confusions: Ints) -> dict[str, Floats]:
        """Metrics of confusion matrices of shape (samples, size, size), one value per sample."""
        raise NotImplementedError

    def by_label(self, confusion: Ints) -> dict[str, NDArray[Any]]:
        """Metrics of each label."""
        precision, recall, f1 = per_class(confusion[None])
        return {"precision": precision[0], "recall": recall[0], "f1": f1[0]}

    def scores(self) -> dict[str, Floats]:
        """The scores that are listed with a mistake."""
        raise NotImplementedError

    def severity(self) -> Floats:
        """How wrong the prediction of each row is, if it is wrong."""
        raise NotImplementedError

    def confusion(self) -> Ints:
        """Counts of shape (labels, labels): rows are true, columns predicted."""
        true, guess, *_ = self.columns()
        size = len(self.labels)
        return np.bincount(true * size + guess, minlength=size * size).reshape(size, size)

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Percentile bootstrap, with a fixed seed.

        Cells of the confusion matrix are drawn from a multinomial, which is the same distribution
        as drawing rows.
        """
        confusion = self.confusion()
        rows = int(confusion.sum())
        generator = np.random.default_rng(0)
        draws = generator.multinomial(rows, confusion.ravel() / rows, size=samples)
        values = self.averages(draws.reshape(samples, *confusion.shape))[metric]
        return percentiles(values, confidence)

    def effective_rows(self, metric: str) -> int:
        confusion = self.confusion()
        supports = confusion.sum(1)[confusion.sum(1) > 0]
        return len(supports) * int(supports.min()) if metric in BY_CLASS else int(supports.sum())

    def resampled(self, metric: str, weights: Ints) -> Floats:
        true, guess, *_ = self.columns()
        values = self.averages(confusions_of(true, guess, len(self.labels), weights))[metric]
        return np.where(weights.sum(1) > 0, values, np.nan)

    def correctness(self) -> Floats:
        true, guess, *_ = self.columns()
        right: Floats = (true == guess).astype(np.float64)
        return right

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        confusion = self.confusion()
        columns = self.by_label(confusion) | {"support": confusion.sum(1)}
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [
            {"label": label} | dict(zip(columns, row, strict=True))
            for label, row in zip(self.labels, rows, strict=True)
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Wrong predictions, the most severe first."""
        true, guess, *_ = self.columns()
        scores, wrong = self.scores(), np.flatnonzero(true != guess)
        order = wrong[np.argsort(-self.severity()[wrong], kind="stable")][:limit]
        return [
            {
                "position": int(index),
                "label": self.labels[true[index]],
                "predicted": self.labels[guess[index]],
            }
            | {name: float(values[index]) for name, values in scores.items()}
            for index in order
        ]

    def matrix(self) -> dict[str, Any]:
        return {"labels": self.labels, "counts": self.confusion().tolist()}

    def figures(self) -> dict[str, Figure]:
        from tasks.applications.shared.classification.scores import figures as draw

        return {"confusion_matrix": draw.confusion_matrix(self.confusion(), self.labels)}


def per_class(confusions: Ints) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class, all of shape (samples, classes).

    They are 0 where undefined, as in scikit-learn. The counts have the shape (samples, classes,
    classes).
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2).astype(np.float64)
    predicted, actual = confusions.sum(1), confusions.sum(2)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(actual, 1)
    f1 = 2 * hits / np.maximum(predicted + actual, 1)
    return precision, recall, f1


def confusions_of(true: Ints, guess: Ints, size: int, weights: Ints) -> Ints:
    """Counts of shape (samples, size, size): rows are true, columns predicted."""
    cells = true * size + guess
    counts = [np.bincount(cells, weights=one, minlength=size * size) for one in weights]
    return np.array(counts).astype(np.int64).reshape(len(weights), size, size)


def averages_of(confusions: Ints) -> dict[str, Floats]:
    """Accuracy and macro averages for one or many confusion matrices.

    Macro averages run over the classes that occur, as true or as predicted label, which is what
    scikit-learn does by default.
    """
    stacked = confusions if confusions.ndim == 3 else confusions[None]
    occurs = (stacked.sum(1) + stacked.sum(2)) > 0
    classes = np.maximum(occurs.sum(1), 1)
    precision, recall, f1 = per_class(stacked)
    hits = np.diagonal(stacked, axis1=1, axis2=2).sum(1)
    return {
        "accuracy": hits / np.maximum(stacked.sum((1, 2)), 1),
        "macro_f1": (f1 * occurs).sum(1) / classes,
        "macro_precision": (precision * occurs).sum(1) / classes,
        "macro_recall": (recall * occurs).sum(1) / classes,
    }
