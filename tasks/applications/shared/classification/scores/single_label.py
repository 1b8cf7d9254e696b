"""Metrics of single-label classification, from three numbers a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications.scoring import Predictions, Scorer
from tasks.applications.shared.bootstrap import mean_of
from tasks.metrics import LabelledRows, RowMetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BINS = 15
TINY = float(np.finfo(np.float64).eps)
"""The smallest probability that log-loss takes, as in scikit-learn."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class ClassificationScorer(Scorer):
    """Accumulates true class, predicted class and two probabilities a row."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._parts: list[tuple[Ints, Ints, Floats, Floats]] = []
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

    def columns(self) -> tuple[Ints, Ints, Floats, Floats]:
        """True class, predicted class, probability of the true class, of the predicted one."""
        true, guess, of_true, of_guess = zip(*self._parts, strict=True)
        return (
            np.concatenate(true),
            np.concatenate(guess),
            np.concatenate(of_true),
            np.concatenate(of_guess),
        )

    def _rows(self) -> LabelledRows:
        return LabelledRows(self.labels, *self.columns())

    def confusion(self) -> Ints:
        """Counts of shape (classes, classes): rows are true, columns predicted."""
        true, guess, _, _ = self.columns()
        size = len(self.labels)
        return np.bincount(true * size + guess, minlength=size * size).reshape(size, size)

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
        """Percentile bootstrap over rows (Efron 1979), with a fixed seed.

        Metrics of the confusion matrix resample its cells from a multinomial, which is the
        same distribution as resampling rows; the others resample rows.
        """
        generator = np.random.default_rng(0)
        if metric in averages_of(self.confusion()):
            values = self._resampled_cells(metric, samples, generator)
        else:
            values = self._resampled_rows(metric, samples, generator)
        tail = (1 - confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def _resampled_cells(self, metric: str, samples: int, generator: np.random.Generator) -> Floats:
        confusion = self.confusion()
        rows, size = int(confusion.sum()), len(self.labels)
        draws = generator.multinomial(rows, confusion.ravel() / rows, size=samples)
        return averages_of(draws.reshape(samples, size, size))[metric]

    def _resampled_rows(self, metric: str, samples: int, generator: np.random.Generator) -> Floats:
        true, guess, of_true, of_guess = self.columns()
        values, record = np.empty(samples), self._rows()
        for sample in range(samples):
            rows = generator.integers(0, len(true), len(true))
            if metric in self._extra:
                weights = np.bincount(rows, minlength=len(true))[None]
                values[sample] = self._extra[metric](record, weights)[0]
            elif metric == "log_loss":
                values[sample] = -np.log(np.maximum(of_true[rows], TINY)).mean()
            else:
                values[sample] = calibration_error(of_guess[rows], (true == guess)[rows])
        return values

    def resampled(self, metric: str, weights: Ints) -> Floats:
        if metric in self._extra:
            return self._extra[metric](self._rows(), weights)
        true, guess, of_true, of_guess = self.columns()
        if metric == "log_loss":
            return mean_of(-np.log(np.maximum(of_true, TINY)), weights)
        if metric == "calibration_error":
            correct = true == guess
            return np.array([calibration_error(of_guess, correct, one) for one in weights])
        size = len(self.labels)
        values = averages_of(confusions_of(true, guess, size, weights))[metric]
        return np.where(weights.sum(1) > 0, values, np.nan)

    def correctness(self) -> Floats:
        true, guess, _, _ = self.columns()
        right: Floats = (true == guess).astype(np.float64)
        return right

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        precision, recall, f1 = per_class(self.confusion()[None])
        support = self.confusion().sum(1)
        return [
            {
                "label": label,
                "precision": float(precision[0, index]),
                "recall": float(recall[0, index]),
                "f1": float(f1[0, index]),
                "support": int(support[index]),
            }
            for index, label in enumerate(self.labels)
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Wrong predictions, most confident first."""
        true, guess, of_true, of_guess = self.columns()
        wrong = np.flatnonzero(true != guess)
        order = wrong[np.argsort(-of_guess[wrong], kind="stable")][:limit]
        return [
            {
                "position": int(index),
                "label": self.labels[true[index]],
                "predicted": self.labels[guess[index]],
                "score": float(of_guess[index]),
                "score_of_label": float(of_true[index]),
            }
            for index in order
        ]

    def matrix(self) -> dict[str, Any]:
        return {"labels": self.labels, "counts": self.confusion().tolist()}

    def figures(self) -> dict[str, Figure]:
        from tasks.applications.shared.classification.scores import figures as draw

        true, guess, _, of_guess = self.columns()
        return {
            "confusion_matrix": draw.confusion_matrix(self.confusion(), self.labels),
            "reliability": draw.reliability(of_guess, true == guess, BINS),
        }


def per_class(confusions: Ints) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class; 0 where undefined, as in scikit-learn.

    Args:
        confusions: counts of shape (samples, classes, classes).

    Returns:
        Three arrays of shape (samples, classes).
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


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], weights: Ints | None = None
) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017, eq. 3).

    Args:
        confidence: the probability of each predicted class.
        correct: whether it is the true one.
        weights: how often each row counts; once by default.
    """
    times = np.ones(len(confidence)) if weights is None else weights
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=times * (confidence - correct), minlength=BINS)
    total = times.sum()
    return float(np.abs(gaps).sum() / total) if total else float("nan")
