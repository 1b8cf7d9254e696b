from __future__ import annotations

from typing import Any

import pytest

from flows.pipeline import pipeline
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
