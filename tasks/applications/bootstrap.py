"""Values of metrics in bootstrap samples, and intervals of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def mean_of(values: Floats, weights: NDArray[np.int64]) -> Floats:
    """The mean of one value per row in each sample; NaN for a sample without rows.

    Each row counts as often as ``weights`` say, of shape (samples, rows).
    """
    totals = weights.sum(1)
    sums: Floats = weights @ values
    means: Floats = np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0)
    return means


def percentiles(values: Floats, confidence: float) -> Interval:
    """The interval that holds this share of the samples' values (Efron 1979)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def widened(found: Interval, limits: Interval, rows: int, confidence: float) -> Interval:
    """A bootstrap interval; a wider one if every sample has the same value.

    If all rows have one value, so has each sample. In the population, at least the share
    ``(alpha / 2) ** (1 / rows)`` has that value (Clopper and Pearson 1934, for as many successes as
    rows); the other rows may have any value within the ``limits`` of the metric. For ``rows`` see
    :meth:`tasks.applications.scoring.Scorer.effective_rows`.
    """
    if not (math.isclose(*found, rel_tol=1e-9, abs_tol=1e-12) and all(map(math.isfinite, limits))):
        return found
    share = ((1 - confidence) / 2) ** (1 / rows) if rows else 0.0
    (low, high), (lowest, highest) = found, limits
    return lowest + share * (low - lowest), highest - share * (highest - high)
