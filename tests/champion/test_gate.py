from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest

from configs.schema import Gate
from tasks.champion.checks import Evidence
from tasks.champion.gate import Alias, decide
from tasks.champion.paired import Comparison, MetricComparison, Slice

NAN, INF = math.nan, math.inf
ROWS = 500


def against(
    champion: float,
    challenger: float,
    low: float = 0.0,
    high: float = 0.0,
    metric: str = "f1",
    slices: tuple[Slice, ...] = (),
    **changed: Any,
) -> Comparison:
    """A comparison in which one metric was measured; the gain as for one where more is better."""
    gain = champion - challenger if metric.endswith("loss") else challenger - champion
    paired = MetricComparison(metric, challenger, champion, gain, low, high)
    return Comparison("models:/m/1", ROWS, (paired,), None, slices, **changed)


def evidence(
    metrics: dict[str, float], comparison: Comparison | None = None, **changed: Any
) -> Evidence:
    cost = {"latency_ms": 5.0, "megabytes": 80.0}
    champion = 1 if comparison else None
    baseline = over_baseline(0.3, 0.2)
    found = Evidence(
        "f1", metrics, ROWS, 12, cost, champion, comparison, baseline, "majority class"
    )
    return replace(found, **changed)


def part(name: str, champion: float, challenger: float, *, judged: bool = True) -> Slice:
    drop = champion - challenger
    return Slice(name, 120, challenger, champion, drop, judged, judged and drop > 0.05 * champion)


def over_baseline(
    gain: float, low: float, high: float = 0.5, metric: str = "f1"
) -> MetricComparison:
    """The primary metric beside a trivial method's 0.5."""
    return MetricComparison(metric, 0.5 + gain, 0.5, gain, low, high)


GOOD = {"f1": 0.8}
BETTER = against(0.7, 0.8, 0.05, 0.15)
CLOSE = against(0.8, 0.81, -0.01, 0.03)


@pytest.mark.parametrize(
    ("found", "gate", "alias", "words"),
    [
        # No champion: a finite primary metric and every threshold are enough.
        (evidence(GOOD), {}, "champion", "promoted: the first version, f1 0.8000"),
        (evidence({"f1": 0.0}), {}, "champion", "promoted: the first version"),
        (evidence(GOOD), {"min_gain": 0.9}, "champion", "promoted: the first version"),
        # A metric that is not there, or not a number.
        (evidence({}), {}, None, "f1 is missing or not a number"),
        (evidence({"f1": NAN}), {}, None, "f1 is missing or not a number"),
        (evidence({"f1": INF}), {}, None, "f1 is missing or not a number"),
        (evidence({"f1": NAN}, BETTER), {}, None, "f1 is missing or not a number"),
        # Nothing to measure on, and data that nobody has looked at.
        (evidence(GOOD, rows=0), {}, None, "the test split is empty"),
        (evidence(GOOD, BETTER, rows=0), {}, None, "the test split is empty"),
        (evidence(GOOD, contract_rules=0), {}, None, "no rule of the data contract ran"),
        # Thresholds, which the metric may not exceed where less is better.
        (evidence(GOOD), {"thresholds": {"f1": 0.8}}, "champion", "promoted"),
        (
            evidence({"f1": 0.79}),
            {"thresholds": {"f1": 0.8}},
            None,
            "f1 0.7900 is below its threshold 0.8",
        ),
        (
            evidence(GOOD),
            {"thresholds": {"recall": 0.1}},
            None,
            "recall nan is below its threshold 0.1",
        ),
        (
            evidence(GOOD | {"log_loss": 0.5}),
            {"thresholds": {"log_loss": 0.5}},
            "champion",
            "promoted",
        ),
        (
            evidence(GOOD | {"log_loss": 0.6}),
            {"thresholds": {"log_loss": 0.5}},
            None,
            "log_loss 0.6000 is above its threshold 0.5",
        ),
        (
            evidence(GOOD | {"log_loss": NAN}),
            {"thresholds": {"log_loss": 9}},
            None,
            "above its threshold",
        ),
        (
            evidence({"f1": 0.1, "log_loss": 2.0}, BETTER),
            {"thresholds": {"f1": 0.5, "log_loss": 1.0}},
            None,
            "f1 0.1000 is below its threshold 0.5; log_loss 2.0000 is above its threshold 1",
        ),
        # Bounds of speed and size.
        (evidence(GOOD), {"max_latency_ms": 5}, "champion", "promoted"),
        (evidence(GOOD), {"max_latency_ms": 4.9}, None, "a row takes 5.0 ms, at most 4.9"),
        (evidence(GOOD), {"max_megabytes": 79}, None, "the model has 80.0 MB, at most 79"),
        (evidence(GOOD, cost={}), {"max_megabytes": 79}, None, "the model has nan MB"),
        (evidence(GOOD, cost={}), {"max_latency_ms": 79}, None, "a row takes nan ms"),
        # The trivial method: a first version is surely better, no later one is worse.
        (
            evidence(GOOD, baseline=over_baseline(0.0, -0.1)),
            {},
            None,
            "f1 0.5000 against 0.5000 of majority class, gain 0.0000 [-0.1000, 0.5000]: a first",
        ),
        (evidence(GOOD, baseline=over_baseline(0.1, 0.0)), {}, None, "must surely be better"),
        (evidence(GOOD, baseline=over_baseline(0.1, 0.001)), {}, "champion", "promoted"),
        (evidence(GOOD, baseline=over_baseline(NAN, NAN, NAN)), {}, None, "must surely be better"),
        (evidence(GOOD, baseline=None), {}, None, "it was not compared with majority class"),
        (
            evidence(GOOD, baseline=over_baseline(0.0, -0.1)),
            {"beat_baseline": False},
            "champion",
            "promoted: the first version",
        ),
        (evidence(GOOD, BETTER, baseline=over_baseline(0.0, -0.1)), {}, "champion", "promoted"),
        (
            evidence(GOOD, BETTER, baseline=over_baseline(-0.01, -0.1)),
            {},
            None,
            "f1 0.4900 against 0.5000 of majority class, gain -0.0100 [-0.1000, 0.5000]: it is",
        ),
        (
            evidence(GOOD, BETTER, baseline=over_baseline(NAN, -0.1)),
            {},
            None,
            "it is below",
        ),
        (
            evidence(GOOD, BETTER, baseline=over_baseline(-0.01, -0.1)),
            {"beat_baseline": False},
            "champion",
            "promoted",
        ),
        # Test rows that the champion has trained on.
        (
            evidence(GOOD, replace(BETTER, seen=20), rows=520),
            {},
            "champion",
            "20 of 520 test rows are left out, since the champion has trained on them",
        ),
        (
            evidence(GOOD, replace(BETTER, rows=100, seen=400)),
            {},
            "champion",
            "400 of 500 test rows are left out",
        ),
        (
            evidence(GOOD, replace(BETTER, rows=99, seen=401)),
            {},
            "challenger",
            "has trained on them: 99 are left, 100 are needed",
        ),
        (
            evidence(GOOD, replace(BETTER, rows=99, seen=401)),
            {"min_unseen_rows": 90},
            "champion",
            "promoted",
        ),
        (
            evidence(GOOD, replace(BETTER, rows=14, seen=41), rows=55),
            {},
            "challenger",
            "41 of 55 test rows are left out, since the champion has trained on them: 14 are left, "
            "28 are needed",
        ),
        (evidence(GOOD, replace(BETTER, rows=28, seen=27), rows=55), {}, "champion", "promoted"),
        (
            evidence(GOOD, Comparison("models:/m/1", seen=500)),
            {"min_unseen_rows": 1},
            "challenger",
            "0 are left, 1 are needed",
        ),
        # Better: a gain, and no loss beyond the margin that could be.
        (
            evidence(GOOD, BETTER),
            {},
            "champion",
            "promoted: f1 0.8000 against 0.7000, gain 0.1000 [0.0500, 0.1500]",
        ),
        (evidence(GOOD, CLOSE), {}, "champion", "gain 0.0100 [-0.0100, 0.0300]"),
        (
            evidence(GOOD, CLOSE),
            {"margin": 0.01},
            "challenger",
            "a loss of more than 0.0080 cannot be ruled out",
        ),
        (evidence(GOOD, CLOSE), {"min_gain": 0.02}, "challenger", "0.02 is needed"),
        (evidence(GOOD, BETTER), {"min_gain": 0.1}, "champion", "promoted"),
        (
            evidence(GOOD, against(0.8, 0.8, -0.01, 0.01)),
            {},
            "challenger",
            "more than 0 is needed",
        ),
        (evidence(GOOD, against(0.8, 0.7, -0.15, -0.05)), {}, "challenger", "against 0.8000"),
        # Surely better.
        (evidence(GOOD, BETTER), {"rule": "superior"}, "champion", "promoted"),
        (
            evidence(GOOD, CLOSE),
            {"rule": "superior"},
            "challenger",
            "surely more than 0 is needed",
        ),
        (
            evidence(GOOD, BETTER),
            {"rule": "superior", "min_gain": 0.06},
            "challenger",
            "surely more than 0.06 is needed",
        ),
        (
            evidence(GOOD, against(0.7, 0.8, 0.0, 0.15)),
            {"rule": "superior"},
            "challenger",
            "surely more than 0 is needed",
        ),
        # Not worse: follows the data, within the margin.
        (
            evidence(GOOD, against(0.8, 0.79, -0.015, 0.005)),
            {"rule": "non_inferior"},
            "champion",
            "gain -0.0100 [-0.0150, 0.0050]",
        ),
        (
            evidence(GOOD, against(0.8, 0.79, -0.02, 0.005)),
            {"rule": "non_inferior"},
            "challenger",
            "a loss of more than 0.0160 cannot be ruled out",
        ),
        (
            evidence(GOOD, against(0.8, 0.8, same_scores=True)),
            {"rule": "non_inferior"},
            "challenger",
            "it scores every row as the champion does",
        ),
        (
            evidence(GOOD, replace(against(0.8, 0.8, same_scores=True), mcnemar=1.0)),
            {"rule": "non_inferior"},
            "challenger",
            "it is right on the same rows as the champion",
        ),
        # Where less is better.
        (
            evidence({"log_loss": 0.4}, against(0.5, 0.4, 0.05, 0.15, "log_loss")),
            {},
            None,
            "f1 is missing",
        ),
        (
            evidence(
                {"log_loss": 0.4},
                against(0.5, 0.4, 0.05, 0.15, "log_loss"),
                primary_metric="log_loss",
            ),
            {},
            "champion",
            "log_loss 0.4000 against 0.5000, gain 0.1000",
        ),
        (
            evidence(
                {"log_loss": 0.6},
                against(0.5, 0.6, -0.15, -0.05, "log_loss"),
                primary_metric="log_loss",
            ),
            {},
            "challenger",
            "not promoted",
        ),
        # Figures of the comparison that are not there, or not numbers.
        (evidence(GOOD, against(0.5, 0.8, metric="recall")), {}, "challenger", "there is no f1"),
        (evidence(GOOD, against(NAN, 0.8, NAN, NAN)), {}, "challenger", "there is no f1"),
        (evidence(GOOD, against(0.5, INF, 0.1, 0.2)), {}, "challenger", "there is no f1"),
        (evidence(GOOD, against(0.5, 0.8, NAN, NAN)), {}, "challenger", "cannot be ruled out"),
        (
            evidence(GOOD, against(0.5, 0.8, NAN, NAN)),
            {"rule": "superior"},
            "challenger",
            "surely more",
        ),
        # Other rows, a champion that does not run, another problem.
        (evidence(GOOD, BETTER, rows=499), {}, "challenger", "compared on 500 rows, evaluated on"),
        (
            evidence(GOOD, Comparison("models:/m/1", problem="the champion cannot be run")),
            {},
            "challenger",
            "not promoted: the champion cannot be run",
        ),
        (
            evidence(GOOD, Comparison("models:/m/1", problem="other labels", other_problem=True)),
            {},
            None,
            "not promoted: other labels",
        ),
        (
            evidence(GOOD, champion=7),
            {},
            "challenger",
            "not promoted: it was not compared with the champion, version 7",
        ),
        # Slices.
        (
            evidence(
                GOOD, against(0.7, 0.8, 0.05, 0.15, slices=(part("length: long", 0.7, 0.68),))
            ),
            {},
            "champion",
            "none of 1 slices fell by more than 0.05 of the champion's value",
        ),
        (
            evidence(
                GOOD,
                against(
                    0.7,
                    0.8,
                    0.05,
                    0.15,
                    slices=(part("length: long", 0.7, 0.6), part("length: short", 0.7, 0.9)),
                ),
            ),
            {},
            "challenger",
            "the slice length: long fell from 0.7000 to 0.6000, more than 0.05",
        ),
        (
            evidence(
                GOOD, against(0.7, 0.8, 0.05, 0.15, slices=(part("tiny", 0.7, 0.1, judged=False),))
            ),
            {},
            "champion",
            "promoted",
        ),
        # A person decides.
        (
            evidence(GOOD, BETTER),
            {"approval": "manual"},
            "challenger",
            "waits for approval (`onestep promote`); would be promoted: f1 0.8000 against",
        ),
        (evidence(GOOD), {"approval": "manual"}, "challenger", "would be promoted: the first"),
        (
            evidence(GOOD, against(0.8, 0.7, -0.15, -0.05)),
            {"approval": "manual"},
            "challenger",
            "not promoted",
        ),
    ],
)
def test_a_version_is_promoted_only_if_nothing_speaks_against_it(
    found: Evidence, gate: dict[str, Any], alias: Alias | None, words: str
) -> None:
    decision = decide(found, Gate.model_validate(gate))
    assert decision.alias == alias, decision.reason
    assert words in decision.reason
    assert decision.reason.startswith("promoted") == (alias == "champion")


def test_all_that_is_wrong_is_said_at_once() -> None:
    gate = Gate(thresholds={"f1": 0.9}, max_megabytes=10, min_gain=0.5)
    reason = decide(evidence(GOOD, BETTER), gate).reason
    for words in ("below its threshold", "80.0 MB", "0.5 is needed"):
        assert words in reason


def test_the_record_holds_what_the_decision_rests_on() -> None:
    slices = (part("length: long", 0.7, 0.6),)
    found = evidence(GOOD, against(0.7, 0.8, 0.05, 0.15, slices=slices))
    decision = decide(found, Gate())
    record = decision.record(found)
    assert record["verdict"] == decision.reason
    assert record["reference"] == "models:/m/1"
    assert found.comparison is not None
    assert record["metrics"] == [asdict(found.comparison.metrics[0])]
    assert record["slices"][0]["failed"]
    assert [check["name"] for check in record["checks"] if not check["passed"]] == ["slices"]
    assert [check["name"] for check in record["checks"]][:3] == ["holdout", "contract", "f1"]
    assert (record["rows"], record["compared_rows"], record["seen_rows"]) == (ROWS, ROWS, 0)
    assert record["cost"] == {"latency_ms": 5.0, "megabytes": 80.0}
