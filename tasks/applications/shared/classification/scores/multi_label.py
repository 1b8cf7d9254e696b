"""Metrics of multi-label classification, from one probability per row and label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications.bootstrap import percentiles
from tasks.applications.scoring import Predictions, Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
Measure = Callable[[NDArray[Any]], float]
"""A metric from weights of shape (rows,); whole weights are how often a row was drawn."""
STEPS = 128
"""Thresholds are multiples of 1/128, which float32 holds exactly, so that the served model predicts
the same labels."""


class MultiLabelScorer(Scorer):
    """Accumulates the true bit and the probability of each label per row.

    Labels that reach the threshold are predicted; without one, it is tuned on the rows.
    """

    def __init__(self, labels: Sequence[str], threshold: float | None = None) -> None:
        self.labels = list(labels)
        self._given = threshold
        self._parts: list[tuple[Bits, NDArray[np.float32]]] = []

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``labels`` and ``probabilities``, both of shape (n, labels)."""
        true = np.array([np.asarray(row, dtype=np.bool_) for row in targets["labels"]])
        self._parts.append((true, np.asarray(predictions["probabilities"], dtype=np.float32)))

    def columns(self) -> tuple[Bits, NDArray[np.float32]]:
        """True bits and probabilities, both of shape (rows, labels)."""
        true, probabilities = zip(*self._parts, strict=True)
        return np.concatenate(true), np.concatenate(probabilities)

    @property
    def threshold(self) -> float:
        """The given threshold, or the best one for these rows."""
        return best_threshold(*self.columns()) if self._given is None else self._given

    def learned(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def metrics(self) -> dict[str, float]:
        weights = np.ones(len(self.columns()[0]))
        values = {name: measure()(weights) for name, measure in self._measures().items()}
        return values | {"rows": float(len(weights))}

    def _measures(self) -> dict[str, Callable[[], Measure]]:
        true, probabilities = self.columns()
        guess = probabilities >= self.threshold
        return {
            "micro_f1": lambda: micro_f1(true, guess),
            "macro_f1": lambda: macro_f1(true, guess),
            "subset_accuracy": lambda: mean((true == guess).all(1)),
            "hamming_loss": lambda: mean((true != guess).mean(1)),
            "macro_average_precision": lambda: MacroAveragePrecision(true, probabilities),
        }

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        generator = np.random.default_rng(0)
        measure, rows = self._measures()[metric](), len(self.columns()[0])
        draws = (generator.integers(0, rows, rows) for _ in range(samples))
        values = [measure(np.bincount(draw, minlength=rows)) for draw in draws]
        return percentiles(np.array(values), confidence)

    def effective_rows(self, metric: str) -> int:
        true, probabilities = self.columns()
        counted = true | (probabilities >= self.threshold)
        supports = counted.sum(0)[counted.any(0)]
        if metric.startswith("macro"):
            return len(supports) * int(supports.min(initial=len(true)))
        return int(counted.any(1).sum()) if metric == "micro_f1" else len(true)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> Floats:
        measure = self._measures()[metric]()
        return np.array([measure(one) if one.any() else np.nan for one in weights])

    def correctness(self) -> Floats:
        true, probabilities = self.columns()
        right: Floats = (true == (probabilities >= self.threshold)).all(1).astype(np.float64)
        return right

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        true, probabilities = self.columns()
        guess = probabilities >= self.threshold
        hits, predicted, actual = (true & guess).sum(0), guess.sum(0), true.sum(0)
        average = MacroAveragePrecision(true, probabilities).by_label(np.ones(len(true)))
        return [
            {
                "label": label,
                "precision": float(hits[index] / max(predicted[index], 1)),
                "recall": float(hits[index] / max(actual[index], 1)),
                "f1": float(2 * hits[index] / max(predicted[index] + actual[index], 1)),
                "average_precision": float(average[index]),
                "support": int(actual[index]),
            }
            for index, label in enumerate(self.labels)
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Wrong sets, by the most confident of their wrong labels."""
        true, probabilities = self.columns()
        guess = probabilities >= self.threshold
        confidence = np.where(true == guess, 0.0, np.where(guess, probabilities, 1 - probabilities))
        wrong = np.flatnonzero((true != guess).any(1))
        order = wrong[np.argsort(-confidence.max(1)[wrong], kind="stable")][:limit]
        return [
            {
                "position": int(index),
                "labels": self._names(true[index]),
                "predicted": self._names(guess[index]),
                "score": float(confidence[index].max()),
            }
            for index in order
        ]

    def _names(self, bits: Bits) -> list[str]:
        return [label for label, bit in zip(self.labels, bits, strict=True) if bit]

    def figures(self) -> dict[str, Figure]:
        """F1 of each label, and precision against recall over all thresholds."""
        from tasks.applications.shared.classification.scores import figures as draw

        true, probabilities = self.columns()
        f1 = [row["f1"] for row in self.details({})]
        return {
            "f1_by_label": draw.f1_bars(f1, self.labels),
            "precision_recall": draw.precision_recall(true, probabilities, self.threshold),
        }


def best_threshold(true: Bits, probabilities: NDArray[np.float32]) -> float:
    """The threshold with the best micro F1; of equally good ones the nearest to a half."""
    # The probabilities of a model that diverged are NaN.
    steps = np.floor(np.nan_to_num(probabilities) * STEPS).astype(np.int64).ravel()
    hits = _at_least(steps[true.ravel()])
    f1 = 2 * hits / np.maximum(_at_least(steps) + true.sum(), 1)
    best = np.flatnonzero(f1 == f1.max()) + 1
    return float(best[np.abs(best - STEPS // 2).argmin()] / STEPS)


def _at_least(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are at or above each threshold between 0 and 1."""
    counts = np.bincount(steps, minlength=STEPS + 1)
    return counts[::-1].cumsum()[::-1][1:STEPS]


def mean(values: NDArray[Any]) -> Measure:
    """Mean of one value per row."""
    numbers = values.astype(np.float64)
    return lambda weights: float(weights @ numbers / weights.sum())


def micro_f1(true: Bits, guess: Bits) -> Measure:
    """F1 over all pairs of a row and a label; 0 where undefined, as in scikit-learn."""
    hits = (true & guess).sum(1).astype(np.float64)
    both = (true.sum(1) + guess.sum(1)).astype(np.float64)
    return lambda weights: float(2 * (weights @ hits) / max(weights @ both, 1))


def macro_f1(true: Bits, guess: Bits) -> Measure:
    """Mean over labels of F1; 0 where undefined, as in scikit-learn."""
    hits, both = (true & guess).astype(np.float32), true.astype(np.float32) + guess

    def measure(weights: NDArray[Any]) -> float:
        weights = weights.astype(np.float32)
        return float((2 * (weights @ hits) / np.maximum(weights @ both, 1)).mean())

    return measure


class MacroAveragePrecision:
    """Mean over labels of the average precision without interpolation, as in scikit-learn.

    It is 0 for a label that no row has.
    """

    def __init__(self, true: Bits, probabilities: NDArray[np.float32]) -> None:
        self.order = np.argsort(-probabilities, axis=0, kind="stable")
        self.true = np.take_along_axis(true, self.order, 0)
        ranked = np.take_along_axis(probabilities, self.order, 0)
        places = np.arange(len(true))[:, None]
        last = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, true.shape[1]), dtype=np.bool_)])
        ends = np.where(last, places, len(true))
        self.ends = np.minimum.accumulate(ends[::-1], axis=0)[::-1]

    def __call__(self, weights: NDArray[Any]) -> float:
        return float(self.by_label(weights).mean())

    def by_label(self, weights: NDArray[Any]) -> Floats:
        """Average precision of each label: precision at each positive, averaged."""
        ranked = weights[self.order].astype(np.float64)
        hits = ranked * self.true
        precision = hits.cumsum(0) / np.maximum(ranked.cumsum(0), 1)
        at_ends = np.take_along_axis(precision, self.ends, 0)
        averages: Floats = (hits * at_ends).sum(0) / np.maximum(hits.sum(0), 1)
        return averages
