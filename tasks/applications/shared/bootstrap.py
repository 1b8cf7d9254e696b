"""Bootstrap intervals of metrics that follow from sums over rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AT_ONCE = 100


def mean_of(values: Floats, weights: NDArray[np.int64]) -> Floats:
    """The mean of one value a row in each sample; NaN for a sample without rows.

    Args:
        values: of shape (rows,).
        weights: how often each row counts, of shape (samples, rows).
    """
    totals = weights.sum(1)
    sums: Floats = weights @ values
    means: Floats = np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0)
    return means


def interval_of(
    rows: Floats, metric: Callable[[Floats], float], samples: int, confidence: float
) -> tuple[float, float]:
    """Percentile bootstrap over rows (Efron 1979), with a fixed seed.

    Args:
        rows: statistics of shape (rows, statistics).
        metric: from the sums of a sample's rows, shape (statistics,), to the metric.
        samples: resamples.
        confidence: coverage of the interval.
    """
    generator = np.random.default_rng(0)
    count, values = len(rows), []
    even = np.full(count, 1 / count)
    for start in range(0, samples, AT_ONCE):
        draws = generator.multinomial(count, even, size=min(AT_ONCE, samples - start))
        values += [metric(sums) for sums in draws @ rows]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
