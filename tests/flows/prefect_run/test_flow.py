from __future__ import annotations

from typing import Any

import pytest

from configs.errors import Failure, Problem, UserError
from flows.pipeline import pipeline
from flows.prefect_run.flow import failed_state, sentence
from flows.retraining import retraining


@pytest.mark.parametrize(
    ("flow", "given"),
    [
        (retraining, {"file": "a.yaml", "overrides": ("seed=1",), "trigger": "scheduled"}),
        (pipeline, {"file": "a.yaml", "overrides": ["seed=1"]}),
    ],
    ids=["retraining", "pipeline"],
)
def test_prefect_checks_parameters_of_decorated_flows(flow: Any, given: dict[str, Any]) -> None:
    checked = flow.validate_parameters(given)
    assert {name: checked[name] for name in given} == given


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Failure("the disk is full\nmore"), "the disk is full"),
        (
            UserError(
                [Problem("a.yaml:1: name", "is empty"), Problem("a.yaml:2: data", "missing")]
            ),
            "a.yaml:1: name: is empty; and 1 more",
        ),
        (
            ValueError("text of a row"),
            "unexpected ValueError; its trace is in the log of this run",
        ),
    ],
    ids=["failure", "problems", "unexpected"],
)
def test_a_failure_is_one_sentence_without_the_text_of_a_row(
    error: Exception, expected: str
) -> None:
    assert sentence(error) == expected
    state = failed_state(error)
    assert (state.is_failed(), state.message) == (True, expected)
