"""Paired comparison of two models: gains with intervals, McNemar's test, slices.

Rows are resampled for both at once (paired bootstrap, Koehn 2004; Berg-Kirkpatrick, Burkett and
Klein 2012), so that rows that are hard or easy for both do not widen the interval of the gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.promotion import Slices
from tasks.applications.bootstrap import Interval, percentiles, widened
from tasks.applications.scoring import Scorer
from tasks.metrics import lower_is_better

Floats = NDArray[np.float64]
CELLS: Final = 1_000_000
"""Resamples in memory, times rows."""
SEED: Final = 0


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of two models on the same rows.

    Attributes:
        gain: how much better the new model is, with its bounds; positive is better, also where less
            is better.
        same: whether no resample tells the two apart.
    """

    metric: str
    challenger: float
    champion: float
    gain: float
    low: float
    high: float
    same: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the rows, and the primary metric of both models on it.

    Attributes:
        name: such as ``length: short``.
        rows: the number of rows that the metric covers.
        drop: the loss of the new model; negative for a gain, also where less is better.
        judged: whether there are enough rows for a decision.
        failed: whether it is judged, and the drop is too large.
    """

    name: str
    rows: int
    challenger: float
    champion: float
    drop: float
    judged: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new model and the champion on the same rows.

    Attributes:
        reference: URI of the champion.
        rows: test rows that both are compared on.
        mcnemar: p-value of McNemar's test, where an answer is right or wrong.
        slices: the primary metric by parts of the rows.
        same_scores: whether no resample tells the two apart by the primary metric.
        problem: why they cannot be compared; all else is empty then.
        other_problem: whether that is because they solve different problems.
        seen: test rows that are left out, since the champion has trained on them.
    """

    reference: str
    rows: int = 0
    metrics: tuple[MetricComparison, ...] = ()
    mcnemar: float | None = None
    slices: tuple[Slice, ...] = ()
    same_scores: bool = False
    problem: str = ""
    other_problem: bool = False
    seen: int = 0

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Comparison:
        """Read a record that ``asdict`` made."""
        metrics = tuple(MetricComparison(**one) for one in record["metrics"])
        slices = tuple(Slice(**one) for one in record["slices"])
        return cls(**{**record, "metrics": metrics, "slices": slices})


def compare(
    challenger: Scorer,
    champion: Scorer,
    metrics: Mapping[str, Interval],
    rows: int,
    samples: int,
    confidence: float,
) -> tuple[MetricComparison, ...]:
    """Compare metrics, each with a percentile interval of the gain; all see the same resamples.

    Both have seen the same rows in the same order. The ``metrics`` have the lowest and the highest
    possible value of each.
    """
    gains: dict[str, list[Floats]] = {metric: [] for metric in metrics}
    lower = {metric: lower_is_better(metric) for metric in metrics}
    for draw in _draws(rows, samples):
        for metric, parts in gains.items():
            ours, theirs = (one.resampled(metric, draw) for one in (challenger, champion))
            parts.append(theirs - ours if lower[metric] else ours - theirs)
    return tuple(
        _paired(
            challenger, champion, metric, rows, _Gains(np.concatenate(parts), confidence, limits)
        )
        for (metric, limits), parts in zip(metrics.items(), gains.values(), strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Gains:
    """The gains of resamples, and the limits of the metric."""

    values: Floats
    confidence: float
    limits: Interval

    @property
    def interval(self) -> Interval:
        """The percentile interval; NaN if there is no gain."""
        if not np.isfinite(self.values).any():
            return math.nan, math.nan
        return percentiles(self.values[~np.isnan(self.values)], self.confidence)

    def widened(self, rows: int) -> Interval:
        """The interval, wider if all gains are equal."""
        most = self.limits[1] - self.limits[0]
        return widened(self.interval, (-most, most), rows, self.confidence)


def _paired(
    challenger: Scorer, champion: Scorer, metric: str, rows: int, gains: _Gains
) -> MetricComparison:
    all_rows = np.ones((1, rows), dtype=np.int64)
    ours, theirs = (float(one.resampled(metric, all_rows)[0]) for one in (challenger, champion))
    gain = theirs - ours if lower_is_better(metric) else ours - theirs
    known = min(one.effective_rows(metric) for one in (challenger, champion))
    same = (gain, *gains.interval) == (0, 0, 0)
    return MetricComparison(metric, ours, theirs, gain, *gains.widened(known), same)


def slice_of(
    challenger: Scorer,
    champion: Scorer,
    metric: str,
    name: str,
    rows: NDArray[np.bool_],
    bounds: Slices,
) -> Slice:
    """Compare the models on a slice: a mask of shape (rows,)."""
    weights = rows.astype(np.int64)[None]
    ours, theirs = (float(one.resampled(metric, weights)[0]) for one in (challenger, champion))
    drop = ours - theirs if lower_is_better(metric) else theirs - ours
    used = challenger.metric_rows(metric)
    count = int((rows if used is None else rows & used).sum())
    judged = count >= bounds.min_rows
    # Written so that NaN fails.
    failed = judged and not drop <= bounds.max_drop * abs(theirs)
    return Slice(name, count, ours, theirs, drop, judged, failed)


def _draws(rows: int, samples: int) -> Iterator[NDArray[np.int64]]:
    """How often each row is drawn, of shape (samples, rows), some at a time."""
    generator = np.random.default_rng(SEED)
    at_once = max(1, CELLS // max(rows, 1))
    for start in range(0, samples, at_once):
        draws = [generator.integers(rows, size=rows) for _ in range(min(at_once, samples - start))]
        yield np.array([np.bincount(draw, minlength=rows) for draw in draws])


def mcnemar(challenger: NDArray[np.bool_], champion: NDArray[np.bool_]) -> float:
    """The exact two-sided p-value of McNemar's test (1947) on which rows each model gets right."""
    # Not from scipy.stats, which takes half a second to import.
    from scipy.special import bdtr

    only_ours = int((challenger & ~champion).sum())
    only_theirs = int((champion & ~challenger).sum())
    fewer, differing = min(only_ours, only_theirs), only_ours + only_theirs
    return min(1.0, 2 * float(bdtr(fewer, differing, 0.5)))
