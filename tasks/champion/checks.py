"""The conditions of the gate, each with its figures in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from configs.language import english
from configs.schema import Gate
from tasks.champion.paired import Comparison, MetricComparison, Slice
from tasks.metrics import lower_is_better


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measurements of a new version.

    Attributes:
        primary_metric: the metric that decides.
        metrics: its metrics on the test split.
        rows: rows of the test split.
        contract_rules: rules of the data contract that have seen its rows.
        cost: ``latency_ms`` and ``megabytes``.
        champion: number of the version that is served; None if there is no other.
        baseline: the primary metric beside that of the trivial method, in the champion's place.
        baseline_name: what the trivial method does.
    """

    primary_metric: str
    metrics: Mapping[str, float]
    rows: int
    contract_rules: int
    cost: Mapping[str, float] = field(default_factory=dict)
    champion: int | None = None
    comparison: Comparison | None = None
    baseline: MetricComparison | None = None
    baseline_name: str = english("the trivial method")


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate.

    Attributes:
        note: the figures, in words.
        alone: whether it depends on the new model alone, not on the champion.
    """

    name: str
    passed: bool
    note: str
    alone: bool = False


def check(evidence: Evidence, gate: Gate) -> Iterator[Check]:
    """Check every condition; those about the champion end with the first that rules others out."""
    yield _holdout(evidence)
    yield _contract(evidence)
    yield _primary_metric(evidence)
    yield from _thresholds(evidence.metrics, gate.thresholds)
    if gate.beat_baseline:
        yield _baseline(evidence)
    yield from _bounds(evidence.cost, gate)
    if (comparison := evidence.comparison) is None:
        if evidence.champion is not None:
            note = english(
                "it was not compared with the champion, version {champion}",
                champion=evidence.champion,
            )
            yield Check(english("comparison"), False, note)
        return
    if comparison.problem:
        yield Check(
            english("comparison"), False, comparison.problem, alone=comparison.other_problem
        )
        return
    yield _compared_rows(evidence, comparison)
    if comparison.seen:
        yield (unseen := _unseen_rows(evidence, comparison, gate))
        if not unseen.passed:
            return
    yield from _gain(comparison, evidence.primary_metric, gate)
    yield from _slices(comparison, gate)


def _holdout(evidence: Evidence) -> Check:
    note = english("{rows:,} test rows", rows=evidence.rows)
    if not evidence.rows:
        note = english("the test split is empty")
    return Check(english("holdout"), evidence.rows > 0, note, alone=True)


def _contract(evidence: Evidence) -> Check:
    ran = evidence.contract_rules
    note = english("{ran:d} rules of the data contract ran", ran=ran)
    if not ran:
        note = english("no rule of the data contract ran")
    return Check(english("contract"), ran > 0, note, alone=True)


def _primary_metric(evidence: Evidence) -> Check:
    value = evidence.metrics.get(evidence.primary_metric, math.nan)
    note = f"{evidence.primary_metric} {value:.4f}"
    if not math.isfinite(value):
        note = english(
            "{primary_metric} is missing or not a number", primary_metric=evidence.primary_metric
        )
    return Check(evidence.primary_metric, math.isfinite(value), note, alone=True)


def _thresholds(metrics: Mapping[str, float], declared: Mapping[str, float]) -> Iterator[Check]:
    for name, threshold in declared.items():
        value = metrics.get(name, math.nan)
        lower = lower_is_better(name)
        # Written so that NaN fails.
        passed = value <= threshold if lower else value >= threshold
        side = english("above") if lower else english("below")
        side = english("within") if passed else side
        values = {"name": name, "value": value, "side": side, "threshold": threshold}
        note = english("{name} {value:.4f} is {side} its threshold {threshold:g}", **values)
        yield Check(english("threshold of {name}", name=name), passed, note, alone=True)


def _baseline(evidence: Evidence) -> Check:
    """A first version has to be surely better than the trivial method, and none may be worse."""
    paired, name = evidence.baseline, evidence.baseline_name
    if paired is None:
        note = english("it was not compared with {baseline}", baseline=name)
        return Check(english("baseline"), False, note, alone=True)
    words = _figures(paired, english(" of {baseline}", baseline=name))
    if evidence.champion is not None:
        # Written so that NaN fails.
        passed = paired.gain >= 0
        below = words if passed else english("{words}: it is below", words=words)
        return Check(english("baseline"), passed, below, alone=True)
    passed = paired.low > 0
    if not passed:
        words = english(
            "{words}: a first version must surely be better (gate.beat_baseline)", words=words
        )
    return Check(english("baseline"), passed, words, alone=True)


def _bounds(cost: Mapping[str, float], gate: Gate) -> Iterator[Check]:
    bounds = {
        "latency_ms": (
            gate.max_latency_ms,
            english("a row takes {value:.1f} ms, at most {most:g} are allowed"),
        ),
        "megabytes": (
            gate.max_megabytes,
            english("the model has {value:.1f} MB, at most {most:g} are allowed"),
        ),
    }
    for name, (bound, words) in bounds.items():
        if bound is not None:
            value = cost.get(name, math.nan)
            yield Check(name, value <= bound, words.format(value=value, most=bound), alone=True)


def _compared_rows(evidence: Evidence, comparison: Comparison) -> Check:
    known = comparison.rows + comparison.seen
    same = evidence.rows == known
    note = english(
        "compared on {known:,} rows, evaluated on {rows:,}", known=known, rows=evidence.rows
    )
    if same:
        note = english("both models on the same {rows:,} rows", rows=comparison.rows)
    return Check(english("same rows"), same, note)


def _unseen_rows(evidence: Evidence, comparison: Comparison, gate: Gate) -> Check:
    """Whether enough rows are left without those that the champion has trained on."""
    needed = min(gate.min_unseen_rows, math.ceil(evidence.rows / 2))
    passed = comparison.rows >= needed
    note = english(
        "{seen:,} of {rows:,} test rows are left out, since the champion has trained on them",
        seen=comparison.seen,
        rows=evidence.rows,
    )
    if not passed:
        left = english(
            "{rows:,} are left, {needed:,} are needed", rows=comparison.rows, needed=needed
        )
        note += f": {left}"
    return Check("unseen rows", passed, note)


def _gain(comparison: Comparison, primary_metric: str, gate: Gate) -> Iterator[Check]:
    paired = next((one for one in comparison.metrics if one.metric == primary_metric), None)
    if paired is None or not all(map(math.isfinite, (paired.challenger, paired.champion))):
        yield Check(
            "gain",
            False,
            english(
                "there is no {primary_metric} to compare with that of the champion",
                primary_metric=primary_metric,
            ),
        )
        return
    words = _figures(paired)
    if comparison.same_scores:
        yield Check("gain", False, f"{words}; {_same(comparison)}")
        return
    margin = gate.margin * abs(paired.champion)
    failed = "; ".join(_shortfalls(paired, gate, margin))
    yield Check("gain", not failed, f"{words}{': ' if failed else ''}{failed}")


def _same(comparison: Comparison) -> str:
    if comparison.mcnemar is None:
        return english("it scores every row as the champion does")
    return english("it is right on the same rows as the champion")


def _figures(paired: MetricComparison, other: str = "") -> str:
    return english(
        "{paired.metric} {paired.challenger:.4f} against {paired.champion:.4f}{other}, "
        "gain {paired.gain:.4f} [{paired.low:.4f}, {paired.high:.4f}]",
        other=other,
        paired=paired,
    )


def _shortfalls(paired: MetricComparison, gate: Gate, margin: float) -> Iterator[str]:
    """Unmet conditions of the gain; written so that NaN meets none."""
    if gate.rule == "superior":
        if not (paired.low > 0 and paired.low >= gate.min_gain):
            yield english("surely more than {min_gain:g} is needed", min_gain=gate.min_gain)
        return
    if gate.rule == "better" and not (paired.gain > 0 and paired.gain >= gate.min_gain):
        some = english("{min_gain:g} is needed", min_gain=gate.min_gain)
        yield some if gate.min_gain else english("more than 0 is needed")
    if not paired.low >= -margin:
        yield english("a loss of more than {margin:.4f} cannot be ruled out", margin=margin)


def _slices(comparison: Comparison, gate: Gate) -> Iterator[Check]:
    judged = [one for one in comparison.slices if one.judged]
    if not judged:
        return
    drop = gate.slices.max_drop
    share = english("{drop:.3g} of the champion's value", drop=drop)
    failed = [_fall(one, share) for one in judged if one.failed]
    fine = english(
        "none of {count} slices fell by more than {share}", count=len(judged), share=share
    )
    yield Check("slices", not failed, "; ".join(failed) or fine)


def _fall(one: Slice, share: str) -> str:
    return english(
        "the slice {slice} fell from {one.champion:.4f} to {one.challenger:.4f}, more than {share}",
        slice=one.name,
        share=share,
        one=one,
    )
