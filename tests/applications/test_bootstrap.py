"""Intervals that hold what they claim also where every row is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from configs.schema import Data
from tasks.applications import registry
from tasks.applications.bootstrap import widened
from tasks.applications.entities.scores import EntityScorer
from tasks.applications.shared.classification.scores.confusion import averages_of
from tasks.applications.shared.classification.scores.multi_label import MultiLabelScorer
from tasks.applications.shared.classification.scores.single_label import ClassificationScorer

LEVEL = 0.95
LABELS = ["a", "b", "c"]


def single(true: Sequence[int]) -> ClassificationScorer:
    """A model that is right about every row."""
    scorer = ClassificationScorer(LABELS)
    scorer.update({"label": true}, {"probabilities": np.eye(3)[list(true)]})
    return scorer


@pytest.mark.parametrize("rows", [1, 7, 164])
@pytest.mark.parametrize("right", [True, False])
def test_a_share_of_none_or_all_has_the_interval_of_clopper_and_pearson(
    rows: int, right: bool
) -> None:
    expected = binomtest(rows * right, rows).proportion_ci(LEVEL, "exact")
    found = widened((float(right),) * 2, (0.0, 1.0), rows, LEVEL)
    assert found == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("found", "limits"), [((0.2, 0.9), (0, 1)), ((np.nan,) * 2, (0, 1)), ((0.5, 0.5), (0, np.inf))]
)
def test_other_intervals_are_those_of_the_samples(found: Any, limits: Any) -> None:
    assert widened(found, limits, 9, LEVEL) == pytest.approx(found, nan_ok=True)


def test_without_a_row_that_counts_nothing_is_known() -> None:
    assert widened((0.0, 0.0), (0, 1), 0, LEVEL) == (0, 1)
    assert widened((43.0, 43.0), (0, 100), 0, LEVEL) == (0, 100)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "macro_recall", "macro_precision"])
@pytest.mark.parametrize("supports", [(8, 8, 8), (90, 8, 2), (500, 40, 1)])
def test_the_interval_holds_every_metric_of_which_such_rows_are_not_rare(
    metric: str, supports: tuple[int, ...]
) -> None:
    """Errors of each class at any rate and to any class, with which all rows may be right."""
    scorer = single(np.repeat(range(3), supports).tolist())
    found = scorer.interval(metric, 100, LEVEL)
    low, high = widened(found, (0, 1), scorer.effective_rows(metric), LEVEL)
    assert (found, high) == ((1.0, 1.0), 1.0)
    generator = np.random.default_rng(0)
    for sparsity in np.repeat([0.05, 0.3, 1.0, 10.0], 200):
        shares = generator.dirichlet([sparsity] * 3)
        rates = 1 - np.exp(np.log((1 - LEVEL) / 2) * shares / supports)
        moved = np.array([generator.dirichlet([sparsity] * 2) for _ in range(3)])
        confusion = np.diag(1 - rates)
        for true, targets in enumerate(([1, 2], [0, 2], [0, 1])):
            confusion[true, targets] = rates[true] * moved[true]
        population = np.rint(1e9 * confusion * np.array(supports)[:, None]).astype(np.int64)
        assert averages_of(population)[metric][0] >= low - 1e-6


def test_a_metric_is_as_sure_as_the_rows_that_count_for_it() -> None:
    unequal = single([0] * 90 + [1] * 8)
    assert unequal.effective_rows("accuracy") == 98
    assert unequal.effective_rows("log_loss") == 98
    assert unequal.effective_rows("macro_f1") == 2 * 8

    several = MultiLabelScorer(LABELS, 0.5)
    bits = np.array([[1, 0, 0]] * 6 + [[1, 1, 0]] * 2 + [[0, 0, 0]] * 5)
    several.update({"labels": bits}, {"probabilities": bits})
    rows = {"micro_f1": 8, "macro_f1": 2 * 2, "subset_accuracy": 13, "hamming_loss": 13}
    assert {metric: several.effective_rows(metric) for metric in rows} == rows

    entities = EntityScorer(["city", "person"])
    city = {"start": 0, "end": 2, "label": "city"}
    person = {"start": 3, "end": 5, "label": "person"}
    texts: list[list[Any]] = [[city]] * 7 + [[city, person]] * 3 + [[]] * 40
    found = [[one | {"score": 1.0} for one in row] for row in texts]
    entities.update({"entities": texts}, {"entities": found})
    assert {m: entities.effective_rows(m) for m in ("f1", "macro_f1")} == {"f1": 10, "macro_f1": 6}


def test_a_metric_has_the_limits_that_its_application_names() -> None:
    data = Data(train="a.csv")
    limits = registry.get("questions").scoring.limits
    assert limits(data, "exact_match") == (0, 100)
    assert registry.get("translation").scoring.limits(data, "length_ratio") == (0, np.inf)
