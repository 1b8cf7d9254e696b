"""Strict metrics of entities, held against seqeval 1.2.2.

``seqeval.json`` holds cases with what ``classification_report(mode="strict", scheme=IOB2,
zero_division=0)`` says about them; positions of tokens stand for characters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.applications.entities.scores import METRICS, EntityScorer, measure

CASES = json.loads((Path(__file__).parent / "seqeval.json").read_text(encoding="utf-8"))
TYPES = ("COMPANY", "DATE", "ORDER", "PERSON")


def spans(found: list[list[Any]], score: float | None = None) -> list[dict[str, Any]]:
    """Entities as rows and models have them."""
    more = {} if score is None else {"score": score}
    return [dict(zip(("start", "end", "label"), one, strict=True)) | more for one in found]


def scored(rows: list[dict[str, Any]]) -> EntityScorer:
    """A scorer that has seen rows."""
    scorer = EntityScorer(TYPES)
    for row in rows:
        scorer.update(
            {"entities": [spans(row["true"])]}, {"entities": [spans(row["predicted"], 0.5)]}
        )
    return scorer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_metrics_are_those_of_seqeval(case: dict[str, Any]) -> None:
    scorer = scored(case["rows"])
    metrics, expected = scorer.metrics(), case["expected"]
    assert [metrics[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        expected["micro"]
    )
    assert [metrics[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(
        expected["macro"]
    )
    details = {row["label"]: row for row in scorer.details(metrics)}
    for label, values in expected["types"].items():
        row = details.pop(label)
        assert [row[k] for k in ("precision", "recall", "f1", "support")] == pytest.approx(values)
    assert all(row["support"] == row["predicted"] == 0 for row in details.values())


def test_rows_without_any_entity_score_nothing() -> None:
    metrics = scored([{"true": [], "predicted": []}]).metrics()
    assert metrics == dict.fromkeys(METRICS, 0.0) | {"rows": 1.0}


@pytest.mark.parametrize("metric", METRICS)
def test_a_sample_is_scored_as_the_rows_that_it_draws(metric: str) -> None:
    rows = max((case["rows"] for case in CASES), key=len)
    draws = np.random.default_rng(3).integers(0, len(rows), (20, len(rows)))
    weights = np.array([np.bincount(draw, minlength=len(rows)) for draw in draws])
    found = scored(rows).resampled(metric, weights)
    assert found == pytest.approx(
        [scored([rows[at] for at in draw]).metrics()[metric] for draw in draws]
    )


def test_a_sample_without_rows_has_no_metric() -> None:
    scorer = scored(CASES[0]["rows"])
    assert np.isnan(scorer.resampled("f1", np.zeros((1, 1), dtype=np.int64))).all()


@pytest.mark.parametrize("metric", METRICS)
def test_an_interval_holds_the_metric(metric: str) -> None:
    rows = max((case["rows"] for case in CASES), key=len)
    scorer = scored(rows)
    low, high = scorer.interval(metric, 200, 0.95)
    assert 0 <= low < scorer.metrics()[metric] < high <= 1
    assert (low, high) == scorer.interval(metric, 200, 0.95)


def test_macro_leaves_out_types_that_a_sample_lacks() -> None:
    sums = np.zeros((1, 3, 3))
    sums[0, 0] = 2, 2, 2
    sums[0, 1] = 0, 1, 0
    assert measure("macro_f1", sums).tolist() == [0.5]


def test_windows_of_a_row_are_put_together() -> None:
    true = spans([[0, 4, "DATE"], [10, 14, "PERSON"]])
    scorer = EntityScorer(TYPES)
    for row, found in (
        (1, [[10, 14, "PERSON"]]),
        (0, []),
        (1, [[0, 4, "DATE"]]),
        (1, [[12, 16, "ORDER"]]),
    ):
        targets = {"entities": [true if row else []]}
        score = 0.9 if found != [[12, 16, "ORDER"]] else 0.4
        scorer.update(targets, {"row": [row], "entities": [spans(found, score)]})
    assert scorer.metrics() == dict.fromkeys(METRICS, 1.0) | {"rows": 2.0}
    assert scorer.correctness().tolist() == [1.0, 1.0]


def test_mistakes_name_positions_and_what_is_wrong() -> None:
    scorer = EntityScorer(TYPES)
    true = [[0, 4, "DATE"], [6, 9, "PERSON"], [20, 25, "ORDER"]]
    found = [
        *spans([[0, 4, "COMPANY"]], 0.6),
        *spans([[6, 10, "PERSON"]], 0.9),
        *spans([[12, 15, "DATE"]], 0.7),
    ]
    scorer.update({"entities": [[], spans(true)]}, {"entities": [[], found]})
    listed = scorer.mistakes(10)
    assert {one["position"] for one in listed} == {1}
    shown = [(one["mistake"], one["label"], one["true"], one["score"]) for one in listed]
    assert shown == [
        ("characters", "PERSON", "PERSON", 0.9),
        ("no entity", "DATE", "(none)", 0.7),
        ("type", "COMPANY", "DATE", 0.6),
        ("not found", "ORDER", "ORDER", 0.0),
    ]
    assert scorer.mistakes(2) == listed[:2]


def test_the_matrix_pairs_entities_of_equal_characters() -> None:
    scorer = scored([{"true": [[0, 1, "DATE"], [2, 3, "ORDER"]], "predicted": [[0, 1, "ORDER"]]}])
    matrix = scorer.matrix()
    assert matrix["labels"] == [*TYPES, "(none)"]
    counts = np.array(matrix["counts"])
    assert (counts.sum(), counts[1, 2], counts[2, 4]) == (2, 1, 1)
