"""Metrics of ordinal classification, all of them from the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.applications.scoring import Predictions, Scorer
from tasks.applications.shared.classification.scores.single_label import (
    Floats,
    Ints,
    averages_of,
    confusions_of,
    per_class,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class OrdinalScorer(Scorer):
    """Accumulates true position, predicted position and score a row.

    Args:
        labels: in their order.
        scale: the number that stands for each, rising.
    """

    def __init__(self, labels: Sequence[str], scale: Sequence[float]) -> None:
        self.labels = list(labels)
        self.scale = np.asarray(scale, dtype=np.float64)
        self._parts: list[tuple[Ints, Ints, Floats]] = []

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``label`` and ``score``, both of shape (n,)."""
        score = np.asarray(predictions["score"], dtype=np.float64)
        # A model that diverged has NaN, and says nothing.
        positions = np.interp(np.nan_to_num(score), self.scale, np.arange(len(self.scale)))
        true = np.asarray(targets["label"], dtype=np.int64)
        self._parts.append((true, np.rint(positions).astype(np.int64), score))

    def columns(self) -> tuple[Ints, Ints, Floats]:
        """True position, predicted position, score."""
        true, guess, score = zip(*self._parts, strict=True)
        return np.concatenate(true), np.concatenate(guess), np.concatenate(score)

    def confusion(self) -> Ints:
        """Counts of shape (labels, labels): rows are true, columns predicted."""
        true, guess, _ = self.columns()
        size = len(self.labels)
        return np.bincount(true * size + guess, minlength=size * size).reshape(size, size)

    def metrics(self) -> dict[str, float]:
        confusion = self.confusion()
        values = {name: float(value[0]) for name, value in agreement_of(confusion[None]).items()}
        return values | {"rows": float(confusion.sum())}

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Percentile bootstrap over rows (Efron 1979), with a fixed seed.

        Cells of the confusion matrix are drawn from a multinomial, which is the same distribution
        as drawing rows.
        """
        generator = np.random.default_rng(0)
        counts = self.confusion()
        rows = int(counts.sum())
        draws = generator.multinomial(rows, counts.ravel() / rows, size=samples)
        values = agreement_of(draws.reshape(samples, *counts.shape))[metric]
        tail = (1 - confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def resampled(self, metric: str, weights: Ints) -> Floats:
        true, guess, _ = self.columns()
        values = agreement_of(confusions_of(true, guess, len(self.labels), weights))[metric]
        return np.where(weights.sum(1) > 0, values, np.nan)

    def correctness(self) -> Floats:
        true, guess, _ = self.columns()
        right: Floats = (true == guess).astype(np.float64)
        return right

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        confusion = self.confusion()
        precision, recall, f1 = per_class(confusion[None])
        support = confusion.sum(1)
        errors = (confusion * distances(len(self.labels))).sum(1) / np.maximum(support, 1)
        return [
            {
                "label": label,
                "precision": float(precision[0, index]),
                "recall": float(recall[0, index]),
                "f1": float(f1[0, index]),
                "mean_absolute_error": float(errors[index]),
                "support": int(support[index]),
            }
            for index, label in enumerate(self.labels)
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Wrong predictions, the farthest from the truth first."""
        true, guess, score = self.columns()
        error = np.abs(score - self.scale[true])
        wrong = np.flatnonzero(true != guess)
        order = wrong[np.argsort(-error[wrong], kind="stable")][:limit]
        return [
            {
                "position": int(index),
                "label": self.labels[true[index]],
                "predicted": self.labels[guess[index]],
                "score": float(score[index]),
            }
            for index in order
        ]

    def matrix(self) -> dict[str, Any]:
        return {"labels": self.labels, "counts": self.confusion().tolist()}

    def figures(self) -> dict[str, Figure]:
        from tasks.applications.shared.classification.scores import figures as draw

        return {"confusion_matrix": draw.confusion_matrix(self.confusion(), self.labels)}


def distances(size: int) -> Ints:
    """Steps between two positions of a scale, of shape (size, size)."""
    positions = np.arange(size)
    steps: Ints = np.abs(positions[:, None] - positions)
    return steps


def agreement_of(confusions: Ints) -> dict[str, Floats]:
    """Metrics of confusion matrices of shape (samples, size, size), one value a sample."""
    steps = distances(confusions.shape[-1])
    rows = np.maximum(confusions.sum((1, 2)), 1)
    averages = averages_of(confusions)
    return {
        "mean_absolute_error": (confusions * steps).sum((1, 2)) / rows,
        "accuracy": averages["accuracy"],
        "macro_f1": averages["macro_f1"],
        "within_one": (confusions * (steps <= 1)).sum((1, 2)) / rows,
        "quadratic_weighted_kappa": quadratic_weighted_kappa(confusions),
    }


def quadratic_weighted_kappa(confusions: Ints) -> Floats:
    """Cohen's kappa with squared distances (Cohen 1968), as in scikit-learn.

    It is 0 where it is undefined: every row has the same label, and every prediction is it.
    """
    squares = distances(confusions.shape[-1]) ** 2
    actual, predicted = confusions.sum(2), confusions.sum(1)
    rows = np.maximum(confusions.sum((1, 2)), 1)
    expected = (actual[:, :, None] * predicted[:, None, :] * squares).sum((1, 2)) / rows
    observed = (confusions * squares).sum((1, 2))
    defined = expected > 0
    return np.where(defined, 1 - observed / np.where(defined, expected, 1), 0.0)
