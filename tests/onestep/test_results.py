"""How results are shown."""

from __future__ import annotations

import pytest

import onestep

pytestmark = pytest.mark.xdist_group("onestep")


def test_an_outcome_is_the_report_of_the_command(outcome: onestep.RunResult) -> None:
    assert "Test split, 24 rows" in repr(outcome)
    assert outcome.uri in repr(outcome)
    assert outcome._repr_html_().count("<table>") >= 2
    assert outcome.verdict.startswith("promoted")
    low, high = outcome.interval
    assert low <= outcome.metrics["accuracy"] <= high


def test_a_notebook_shows_an_error_as_its_problems() -> None:
    problems = [onestep.Problem("a.yaml:1", "wrong"), onestep.Problem("a.yaml:2", "too", "fix it")]
    error = onestep.ConfigError(problems)
    shown = ["ConfigError: a.yaml:1: wrong", "ConfigError: a.yaml:2: too (fix it)"]
    assert error._render_traceback_() == shown
    assert error.problems == tuple(problems)
    assert onestep.Failure("broken").problems == ()
