"""The gate: whether a model is good enough to be served, as a pure function of its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from configs.language import english
from configs.schema import Gate
from tasks.champion.checks import Check, Evidence, check

Alias = Literal["champion", "challenger"]
REASONS = (english("gain"), english("unseen rows"), english("slices"))
"""Checks that are the reason of a promotion; the others can only prevent it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about a new version, with every condition and the verdict in words.

    The alias is None if the version fails a check that depends on it alone.
    """

    alias: Alias | None
    reason: str
    checks: tuple[Check, ...] = ()

    def record(self, evidence: Evidence) -> dict[str, Any]:
        """The decision and its evidence as JSON values."""
        comparison = evidence.comparison
        return {
            "verdict": self.reason,
            "alias": self.alias,
            "reference": comparison.reference if comparison else None,
            "rows": evidence.rows,
            "compared_rows": comparison.rows if comparison else None,
            "seen_rows": comparison.seen if comparison else None,
            "metrics": [asdict(one) for one in comparison.metrics] if comparison else [],
            "mcnemar": comparison.mcnemar if comparison else None,
            "slices": [asdict(one) for one in comparison.slices] if comparison else [],
            "checks": [asdict(one) for one in self.checks],
            "cost": dict(evidence.cost),
        }


def decide(evidence: Evidence, gate: Gate) -> Decision:
    """Decide about a new version; if anything is unclear, it is not promoted."""
    checks = tuple(check(evidence, gate))
    failed = [one for one in checks if not one.passed]
    if failed:
        alias: Alias | None = None if any(one.alone for one in failed) else "challenger"
        return Decision(alias, english("not promoted: {reason}", reason=_words(failed)), checks)
    told = [one for one in checks if one.name in REASONS] or [_first(evidence)]
    reason = english("promoted: {reason}", reason=_words(told))
    if gate.approval == "manual":
        waits = english("waits for approval (`onestep promote`); would be {reason}", reason=reason)
        return Decision("challenger", waits, checks)
    return Decision("champion", reason, checks)


def _words(checks: Sequence[Check]) -> str:
    return "; ".join(one.note for one in checks)


def _first(evidence: Evidence) -> Check:
    value = evidence.metrics[evidence.primary_metric]
    name = evidence.primary_metric
    note = english("the first version, {name} {value:.4f}", name=name, value=value)
    return Check("first", True, note)
