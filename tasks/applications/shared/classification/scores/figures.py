"""Plots of classification results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_NUMBERED = 20
CURVE_POINTS = 101
LONGEST_NAME = 40


def confusion_matrix(counts: Ints, labels: Sequence[str]) -> Figure:
    """Shares of each true class, with counts written in while they are readable."""
    size = len(labels)
    side = min(3 + 0.5 * size, 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    names = [_name(label) for label in labels]
    axes.set_xticks(range(size), names, rotation=45, ha="right")
    axes.set_yticks(range(size), names)
    if size <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=shade)
    return figure


def _name(label: str) -> str:
    """One short line, so that the axes keep their room."""
    line = " ".join(label.split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int) -> Figure:
    """Accuracy against confidence (Niculescu-Mizil and Caruana 2005), with counts below."""
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins)
    accuracy = np.bincount(index, weights=correct, minlength=bins) / np.maximum(counts, 1)
    centers = (np.arange(bins) + 0.5) / bins
    upper.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfectly calibrated")
    upper.bar(centers[counts > 0], accuracy[counts > 0], width=0.9 / bins, label="model")
    upper.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1), title="Reliability")
    upper.legend(loc="upper left")
    lower.bar(centers, counts, width=0.9 / bins, color="grey")
    lower.set(xlabel="confidence of the prediction", ylabel="rows")
    return figure


def f1_bars(values: Sequence[float], labels: Sequence[str]) -> Figure:
    """The F1 of each label."""
    figure = Figure(figsize=(6, min(1.5 + 0.3 * len(labels), 40)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(labels)), values)
    axes.set_yticks(range(len(labels)), [_name(label) for label in labels])
    axes.invert_yaxis()
    axes.set(xlabel="F1", xlim=(0, 1), title="F1 by label")
    return figure


def precision_recall(
    true: NDArray[np.bool_], probabilities: NDArray[np.float32], threshold: float
) -> Figure:
    """Precision against recall over all pairs of a row and a label, with the threshold marked."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    grid = np.unique(np.append(np.linspace(0, 1, CURVE_POINTS), threshold))
    points = [_precision_and_recall(true, probabilities >= at) for at in grid]
    axes.plot([recall for _, recall in points], [precision for precision, _ in points])
    precision, recall = points[int(np.searchsorted(grid, threshold))]
    axes.plot([recall], [precision], "o", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("Precision and recall, all labels together")
    axes.legend(loc="lower left")
    return figure


def _precision_and_recall(true: NDArray[np.bool_], guess: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision is 1 where nothing is predicted, which is where the curve ends."""
    hits, predicted = int((true & guess).sum()), int(guess.sum())
    precision = hits / predicted if predicted else 1.0
    return precision, hits / max(int(true.sum()), 1)
