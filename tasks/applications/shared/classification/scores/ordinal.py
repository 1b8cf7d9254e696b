"""Metrics of ordinal classification, all of them from the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.applications.scoring import Predictions
from tasks.applications.shared.classification.scores.confusion import (
    ConfusionScorer,
    Floats,
    Ints,
    averages_of,
)


class OrdinalScorer(ConfusionScorer):
    """The score of a row is its predicted number of the scale, which rises with the labels."""

    def __init__(self, labels: Sequence[str], scale: Sequence[float]) -> None:
        super().__init__(labels)
        self.scale = np.asarray(scale, dtype=np.float64)

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``label`` and ``score``, both of shape (n,)."""
        score = np.asarray(predictions["score"], dtype=np.float64)
        # The scores of a model that diverged are NaN.
        positions = np.interp(np.nan_to_num(score), self.scale, np.arange(len(self.scale)))
        true = np.asarray(targets["label"], dtype=np.int64)
        self._parts.append((true, np.rint(positions).astype(np.int64), score))

    def metrics(self) -> dict[str, float]:
        confusion = self.confusion()
        values = {name: float(value[0]) for name, value in self.averages(confusion[None]).items()}
        return values | {"rows": float(confusion.sum())}

    def averages(self, confusions: Ints) -> dict[str, Floats]:
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

    def by_label(self, confusion: Ints) -> dict[str, Any]:
        steps = (confusion * distances(len(self.labels))).sum(1)
        errors = steps / np.maximum(confusion.sum(1), 1)
        return super().by_label(confusion) | {"mean_absolute_error": errors}

    def scores(self) -> dict[str, Floats]:
        return {"score": self.columns()[2]}

    def severity(self) -> Floats:
        """Distance from the true number."""
        true, _, score = self.columns()
        distance: Floats = np.abs(score - self.scale[true])
        return distance


def distances(size: int) -> Ints:
    """Steps between two positions of a scale, of shape (size, size)."""
    positions = np.arange(size)
    steps: Ints = np.abs(positions[:, None] - positions)
    return steps


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
