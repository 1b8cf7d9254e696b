"""Two models on the same rows: how much better one is, and how sure that is.

Rows are resampled for both at once (paired bootstrap, Koehn 2004; Berg-Kirkpatrick, Burkett and
Klein 2012), so that what is hard or easy for both does not widen the interval of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.metrics import lower_is_better

if TYPE_CHECKING:
    from tasks.applications.base import Scorer

AT_ONCE: Final = 50
"""Resamples in memory."""
SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric of two models on the same rows.

    Attributes:
        metric: its name.
        challenger: its value for the new model.
        champion: its value for the model that is served.
        gain: how much better the new model is; positive is better, also where less is better.
        low: lower bound of the gain.
        high: upper bound of the gain.
    """

    metric: str
    challenger: float
    champion: float
    gain: float
    low: float
    high: float

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(
    challenger: Scorer, champion: Scorer, metric: str, rows: int, samples: int, confidence: float
) -> Paired:
    """Compare one metric, with a percentile interval of the gain.

    Args:
        challenger: has seen the rows with the new model's answers.
        champion: has seen the same rows, in the same order, with the other's.
        metric: one that both have.
        rows: how many there are.
        samples: resamples.
        confidence: coverage of the interval.
    """
    sign = -1.0 if lower_is_better(metric) else 1.0
    whole = np.ones((1, rows), dtype=np.int64)
    ours, theirs = (float(one.resampled(metric, whole)[0]) for one in (challenger, champion))
    gains = np.concatenate(
        [
            sign * (challenger.resampled(metric, draw) - champion.resampled(metric, draw))
            for draw in _draws(rows, samples)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = (
        np.nanquantile(gains, [tail, 1 - tail]) if np.isfinite(gains).any() else (math.nan,) * 2
    )
    return Paired(metric, ours, theirs, sign * (ours - theirs), float(low), float(high))


def _draws(rows: int, samples: int) -> Iterator[NDArray[np.int64]]:
    """How often each row is drawn, of shape (samples, rows), some at a time."""
    generator = np.random.default_rng(SEED)
    even = np.full(rows, 1 / rows)
    for start in range(0, samples, AT_ONCE):
        yield generator.multinomial(rows, even, size=min(AT_ONCE, samples - start))


def mcnemar(challenger: NDArray[np.bool_], champion: NDArray[np.bool_]) -> float:
    """The exact two-sided p-value of McNemar's test (1947) on which rows each model gets right."""
    from scipy.stats import binomtest

    only_ours = int((challenger & ~champion).sum())
    only_theirs = int((champion & ~challenger).sum())
    if not only_ours + only_theirs:
        return 1.0
    return float(binomtest(only_ours, only_ours + only_theirs).pvalue)
