from __future__ import annotations

import pytest

from configs.errors import DataError
from flows.run.drift import DriftReport, require_none
from tasks.contract.statistics.drift import D, Measure, W
from tests.support.reading import pipeline

STILL = Measure("labels", W, 0.05, 0.0, 0.3, drifted=False)
MOVED = Measure("length of text", D, 0.9, 0.7, 0.5, drifted=True, note="longer")
FOUND = DriftReport("models:/reviews/3", [STILL, MOVED])


def test_one_measure_that_drifted_is_drift() -> None:
    assert FOUND.found
    assert FOUND.note == "drift from models:/reviews/3: length of text"
    none = DriftReport("models:/reviews/3", [STILL])
    assert not none.found
    assert none.note == "no drift from models:/reviews/3 in 1 measures"
    record = FOUND.record()
    assert record["drift_reference"] == "models:/reviews/3"
    assert [entry["drifted"] for entry in record["drift"]] == [False, True]


@pytest.mark.parametrize("drifted", [None, DriftReport("models:/reviews/3", [STILL])])
def test_only_drift_is_refused(drifted: DriftReport | None) -> None:
    strict = {"contract": {"drift": {"severity": "refuse"}}}
    record = {"name": "reviews", "application": "sentiment", "data": {"train": "reviews.csv"}}
    require_none(pipeline(record | strict), drifted)
    require_none(pipeline(record), FOUND)
    with pytest.raises(DataError, match="drift from models:/reviews/3") as caught:
        require_none(pipeline(record | strict), FOUND)
    assert "contract.drift.severity: warn" in caught.value.problems[0].advice
