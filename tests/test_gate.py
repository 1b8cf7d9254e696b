from __future__ import annotations

import math

import pytest

from configs.schema import Gate
from tasks.gate import Alias, Decision, decide

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("challenger", "champion", "gate", "alias", "words"),
    [
        # No champion: a finite headline and every floor are enough.
        ({"f1": 0.8}, None, {}, "champion", "promoted: the first version, f1 0.8000"),
        ({"f1": 0.0}, None, {}, "champion", "promoted: the first version"),
        ({"f1": 0.8}, None, {"min_gain": 0.9}, "champion", "promoted: the first version"),
        ({}, None, {}, None, "f1 is missing or not a number"),
        ({"f1": NAN}, None, {}, None, "f1 is missing or not a number"),
        ({"f1": INF}, None, {}, None, "f1 is missing or not a number"),
        # Floors, which are ceilings where less is better.
        ({"f1": 0.8}, None, {"floors": {"f1": 0.8}}, "champion", "promoted"),
        ({"f1": 0.79}, None, {"floors": {"f1": 0.8}}, None, "f1 0.7900 is below its floor 0.8"),
        ({"f1": 0.8}, None, {"floors": {"recall": 0.1}}, None, "recall nan is below its floor 0.1"),
        ({"f1": NAN}, None, {"floors": {"f1": 0.0}}, None, "f1 nan is below its floor 0"),
        ({"f1": 1.0, "log_loss": 0.5}, None, {"floors": {"log_loss": 0.5}}, "champion", "promoted"),
        (
            {"f1": 1.0, "log_loss": 0.6},
            None,
            {"floors": {"log_loss": 0.5}},
            None,
            "log_loss 0.6000 is above its ceiling 0.5",
        ),
        (
            {"f1": 1.0, "log_loss": NAN},
            None,
            {"floors": {"log_loss": 9}},
            None,
            "above its ceiling",
        ),
        (
            {"f1": 0.1, "log_loss": 2.0},
            {"f1": 0.0},
            {"floors": {"f1": 0.5, "log_loss": 1.0}},
            None,
            "f1 0.1000 is below its floor 0.5; log_loss 2.0000 is above its ceiling 1",
        ),
        # A champion: strictly better, and by at least the gain.
        (
            {"f1": 0.81},
            {"f1": 0.8},
            {},
            "champion",
            "promoted: f1 0.8100 against 0.8000, gain 0.01",
        ),
        ({"f1": 0.8}, {"f1": 0.8}, {}, "challenger", "gain 0.0000, needed more than 0"),
        ({"f1": 0.7}, {"f1": 0.8}, {}, "challenger", "not promoted: f1 0.7000 against 0.8000"),
        ({"f1": 0.75}, {"f1": 0.5}, {"min_gain": 0.25}, "champion", "gain 0.2500"),
        ({"f1": 0.7}, {"f1": 0.5}, {"min_gain": 0.25}, "challenger", "needed 0.25"),
        ({"f1": 0.9}, {}, {}, "challenger", "the champion has no f1 to compare"),
        ({"f1": 0.9}, {"f1": NAN}, {}, "challenger", "the champion has no f1 to compare"),
        ({"f1": 0.9}, {"f1": -INF}, {}, "challenger", "the champion has no f1 to compare"),
        ({"f1": NAN}, {"f1": 0.5}, {}, None, "f1 is missing or not a number"),
        ({"f1": 0.9}, {"accuracy": 0.1}, {}, "challenger", "the champion has no f1"),
    ],
)
def test_a_version_is_promoted_only_if_it_is_clearly_better(
    challenger: dict[str, float],
    champion: dict[str, float] | None,
    gate: dict[str, object],
    alias: Alias | None,
    words: str,
) -> None:
    decision = decide(challenger, champion, Gate.model_validate(gate), "f1")
    assert decision.alias == alias
    assert words in decision.reason
    assert decision.reason.startswith("promoted" if alias == "champion" else "not promoted")


@pytest.mark.parametrize(
    ("value", "alias"), [(0.4, "champion"), (0.5, "challenger"), (0.6, "challenger")]
)
def test_a_loss_must_fall(value: float, alias: Alias) -> None:
    assert decide({"log_loss": value}, {"log_loss": 0.5}, Gate(), "log_loss").alias == alias


def test_a_failed_floor_is_told_before_the_comparison() -> None:
    decision = decide({"f1": 0.9}, {"f1": 0.1}, Gate(floors={"f1": 0.95}), "f1")
    assert decision == Decision(None, "not promoted: f1 0.9000 is below its floor 0.95")
