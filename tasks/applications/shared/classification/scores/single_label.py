"""Metrics of single-label classification, from three numbers per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications.bootstrap import mean_of, percentiles
from tasks.applications.scoring import Predictions
from tasks.applications.shared.classification.scores.confusion import (
    ConfusionScorer,
    Floats,
    Ints,
    averages_of,
)
from tasks.metrics import LabelledRows, RowMetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BINS = 15
TINY = float(np.finfo(np.float64).eps)
"""The smallest probability that log-loss takes, as in scikit-learn."""


class ClassificationScorer(ConfusionScorer):
    """The scores of a row are the probabilities of its true and of its predicted class."""

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels)
        self._extra: dict[str, RowMetric] = {}

    def add(self, name: str, metric: RowMetric) -> None:
        self._extra[name] = metric

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``label`` of shape (n,), ``probabilities`` of shape (n, classes)."""
        true = np.asarray(targets["label"], dtype=np.int64)
        probabilities = np.asarray(predictions["probabilities"], dtype=np.float64)
        guess = probabilities.argmax(1)
        rows = np.arange(len(true))
        self._parts.append((true, guess, probabilities[rows, true], probabilities[rows, guess]))

    def averages(self, confusions: Ints) -> dict[str, Floats]:
        return averages_of(confusions)

    def _rows(self) -> LabelledRows:
        return LabelledRows(self.labels, *self.columns())

    def metrics(self) -> dict[str, float]:
        """Accuracy, macro averages over the classes, log-loss in nats, calibration error."""
        true, guess, of_true, of_guess = self.columns()
        averages = {name: float(value[0]) for name, value in averages_of(self.confusion()).items()}
        rows, once = self._rows(), np.ones((1, len(true)), dtype=np.int64)
        extra = {name: float(metric(rows, once)[0]) for name, metric in self._extra.items()}
        return {
            **averages,
            **extra,
            "log_loss": float(-np.log(np.maximum(of_true, TINY)).mean()),
            "calibration_error": calibration_error(of_guess, true == guess),
            "rows": float(len(true)),
        }

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Percentile bootstrap over rows, with a fixed seed."""
        if metric in averages_of(self.confusion()):
            return super().interval(metric, samples, confidence)
        generator, rows = np.random.default_rng(0), len(self.columns()[0])
        draws = (generator.integers(0, rows, rows) for _ in range(samples))
        weights = (np.bincount(draw, minlength=rows)[None] for draw in draws)
        return percentiles(np.concatenate([self.resampled(metric, w) for w in weights]), confidence)

    def resampled(self, metric: str, weights: Ints) -> Floats:
        if metric in self._extra:
            return self._extra[metric](self._rows(), weights)
        true, guess, of_true, of_guess = self.columns()
        if metric == "log_loss":
            return mean_of(-np.log(np.maximum(of_true, TINY)), weights)
        if metric == "calibration_error":
            correct = true == guess
            return np.array([calibration_error(of_guess, correct, one) for one in weights])
        return super().resampled(metric, weights)

    def scores(self) -> dict[str, Floats]:
        _, _, of_true, of_guess = self.columns()
        return {"score": of_guess, "score_of_label": of_true}

    def severity(self) -> Floats:
        """Confidence."""
        return self.scores()["score"]

    def figures(self) -> dict[str, Figure]:
        from tasks.applications.shared.classification.scores import figures as draw

        true, guess, _, of_guess = self.columns()
        return super().figures() | {"reliability": draw.reliability(of_guess, true == guess, BINS)}


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], weights: Ints | None = None
) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017, eq. 3).

    Each row counts as often as ``weights`` say; once by default.
    """
    times = np.ones(len(confidence)) if weights is None else weights
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=times * (confidence - correct), minlength=BINS)
    total = times.sum()
    return float(np.abs(gaps).sum() / total) if total else float("nan")
