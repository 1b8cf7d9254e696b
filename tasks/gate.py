"""Whether a model is good enough to be served: a pure function of figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from configs.schema import Gate
from tasks.metrics import lower_is_better

Alias = Literal["champion", "challenger"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a new version.

    Attributes:
        alias: the alias that it gets; None if it failed a floor.
        reason: the verdict in words.
    """

    alias: Alias | None
    reason: str


def decide(
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    gate: Gate,
    headline: str,
) -> Decision:
    """Compare a new version with the champion; whatever is unclear is not promoted.

    Args:
        challenger: metrics of the new version.
        champion: metrics of the version that is served, None if there is none.
        gate: floors and the least gain.
        headline: the metric that decides.
    """
    if failed := _below_floor(challenger, gate.floors):
        return Decision(None, f"not promoted: {failed}")
    value = challenger.get(headline, math.nan)
    if not math.isfinite(value):
        return Decision(None, f"not promoted: {headline} is missing or not a number")
    if champion is None:
        return Decision("champion", f"promoted: the first version, {headline} {value:.4f}")
    current = champion.get(headline, math.nan)
    if not math.isfinite(current):
        return Decision("challenger", f"not promoted: the champion has no {headline} to compare")
    gain = current - value if lower_is_better(headline) else value - current
    words = f"{headline} {value:.4f} against {current:.4f}"
    if gain > 0 and gain >= gate.min_gain:
        return Decision("champion", f"promoted: {words}, gain {gain:.4f}")
    return Decision("challenger", f"not promoted: {words}, gain {gain:.4f}, needed {_needed(gate)}")


def _needed(gate: Gate) -> str:
    return f"{gate.min_gain:g}" if gate.min_gain else "more than 0"


def _below_floor(metrics: Mapping[str, float], floors: Mapping[str, float]) -> str:
    failures = []
    for name, floor in floors.items():
        value = metrics.get(name, math.nan)
        if lower_is_better(name) and not value <= floor:
            failures.append(f"{name} {value:.4f} is above its ceiling {floor:g}")
        elif not lower_is_better(name) and not value >= floor:
            failures.append(f"{name} {value:.4f} is below its floor {floor:g}")
    return "; ".join(failures)
