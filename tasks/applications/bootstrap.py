"""Values of metrics in bootstrap samples, and intervals of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_of(values: Floats, weights: NDArray[np.int64]) -> Floats:
    """The mean of one value per row in each sample; NaN for a sample without rows.

    Args:
        values: of shape (rows,).
        weights: how often each row counts, of shape (samples, rows).
    """
    totals = weights.sum(1)
    sums: Floats = weights @ values
    means: Floats = np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0)
    return means


def percentiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The interval that holds this share of the samples' values (Efron 1979)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
