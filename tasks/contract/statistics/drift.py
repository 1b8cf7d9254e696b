"""Drift of data from the training rows of a model, by effect sizes and their lower bounds.

With enough rows every difference is significant. So the size of the effect decides: there is drift
if the lower bound of its confidence interval exceeds the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.contract import Drift
from configs.language import english
from tasks.contract.statistics.profile import Lengths, Profile, Vocabulary

W: Final = english("Cohen's w: the root of the mean squared relative difference of shares")
D: Final = english("Cohen's d: the difference of mean log lengths in standard deviations")
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One comparison: an effect size and its lower bound at the declared confidence.

    Attributes:
        threshold: the largest effect that is no drift.
        drifted: whether the lower bound exceeds the threshold.
        note: what changed most.
    """

    name: str
    measure: str
    value: float
    low: float
    threshold: float
    drifted: bool
    note: str = ""

    def record(self) -> dict[str, Any]:
        return asdict(self)


def compare(now: Profile, before: Profile, settings: Drift) -> list[Measure]:
    """Compare labels, lengths and vocabulary of two data sets."""
    return [
        *_labels(now, before, settings),
        *(
            _lengths(name, now.lengths[name], before.lengths[name], settings)
            for name in now.lengths
            if name in before.lengths
        ),
        *(
            _words(name, now.vocabulary[name], before.vocabulary[name], settings)
            for name in now.vocabulary
            if name in before.vocabulary
        ),
    ]


def _labels(now: Profile, before: Profile, settings: Drift) -> Iterator[Measure]:
    if now.labels and before.labels:
        yield shares("labels", now.labels, before.labels, settings)


def shares(
    name: str, now: Mapping[str, int], before: Mapping[str, int], settings: Drift
) -> Measure:
    """Compare the shares of categories."""
    names = sorted(now.keys() | before.keys())
    ours, theirs = (np.array([c.get(n, 0) for n in names], dtype=np.float64) for c in (now, before))
    draws = float(ours.sum()), float(theirs.sum())
    note = ""
    if all(draws):
        changes = ours / draws[0] - theirs / draws[1]
        most = int(np.abs(changes).argmax())
        note = english(
            "most of all {name}: {before:.1%} before, {now:.1%} now",
            name=names[most],
            before=theirs[most] / draws[1],
            now=ours[most] / draws[0],
        )
    return _distance(name, (ours, theirs), draws, len(names) - 1, settings, note)


def _words(name: str, now: Vocabulary, before: Vocabulary, settings: Drift) -> Measure:
    ours, theirs = (np.array(one.counts, dtype=np.float64) for one in (now, before))
    freedom = min(now.freedom, before.freedom)
    draws = now.draws, before.draws
    return _distance(
        english("vocabulary of {name}", name=name), (ours, theirs), draws, freedom, settings
    )


def _distance(
    name: str,
    counts: tuple[Counts, Counts],
    draws: tuple[float, float],
    freedom: float,
    settings: Drift,
    note: str = "",
) -> Measure:
    """Cohen's w of two distributions, corrected for chance, and its lower bound.

    The statistic is that of a test of homogeneity, scaled to the given degrees of freedom (Rao and
    Scott 1981); its noncentrality is the number of draws times w squared (Cohen 1988, ch. 7).
    """
    totals = counts[0].sum(), counts[1].sum()
    if not all(totals) or not all(draws):
        return _measure(name, W, 0.0, 0.0, settings, english("too few rows to compare"))
    ours, theirs = counts[0] / totals[0], counts[1] / totals[1]
    mean = (ours + theirs) / 2
    seen = mean > 0
    cells = max(int(seen.sum()) - 1, 1)
    squared = float((((ours - theirs) ** 2)[seen] / mean[seen]).sum())
    common = draws[0] * draws[1] / (draws[0] + draws[1])
    freedom = min(max(freedom, 1.0), cells)
    scale = freedom / cells
    low = _noncentrality(common * squared * scale, freedom, settings.confidence_level)
    value = math.sqrt(max(squared - cells / common, 0.0))
    return _measure(name, W, value, math.sqrt(low / (common * scale)), settings, note)


def _noncentrality(statistic: float, freedom: float, confidence: float) -> float:
    """The lower bound of the noncentrality of a chi-squared statistic (Steiger 2004)."""
    # Not from scipy.stats, which takes half a second to import.
    from scipy.special import chdtr, chndtrinc

    if chdtr(freedom, statistic) <= confidence:
        return 0.0
    return float(chndtrinc(statistic, freedom, confidence))


def _lengths(name: str, now: Lengths, before: Lengths, settings: Drift) -> Measure:
    """Cohen's d of log lengths, and its lower bound (normal approximation)."""
    label = english("characters of {name}", name=name)
    if now.draws < 2 or before.draws < 2:
        return _measure(label, D, 0.0, 0.0, settings, english("too few rows to compare"))
    pooled = math.sqrt((now.std**2 + before.std**2) / 2)
    difference = abs(now.mean - before.mean)
    value = difference / pooled if pooled else (math.inf if difference else 0.0)
    error = math.sqrt(
        1 / now.draws + 1 / before.draws + value**2 / (2 * (now.draws + before.draws))
    )
    low = max(value - NormalDist().inv_cdf(settings.confidence_level) * error, 0.0)
    means = english(
        "typically {before:,.0f} before, {now:,.0f} now",
        before=math.expm1(before.mean),
        now=math.expm1(now.mean),
    )
    return _measure(label, D, value, low, settings, means)


def _measure(name: str, how: str, value: float, low: float, settings: Drift, note: str) -> Measure:
    threshold = settings.max_effect_size
    return Measure(name, how, value, low, threshold, low > threshold, note)


def sentence(measures: Sequence[Measure], reference: str) -> str:
    """The measures that drifted, in one line."""
    drifted = [measure.name for measure in measures if measure.drifted]
    if not drifted:
        return english(
            "no drift from {reference} in {measures} measures",
            reference=reference,
            measures=len(measures),
        )
    return english(
        "drift from {reference}: {drifted}", reference=reference, drifted=", ".join(drifted)
    )
