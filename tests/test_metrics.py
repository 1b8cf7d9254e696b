"""Metrics of installed packages; the example is that of the page about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.promotion import Slices
from flows.run.reading import read
from tasks import metrics
from tasks.applications.shared.classification.scores.single_label import ClassificationScorer
from tasks.champion.paired import compare, slice_of
from tests.docs.markdown import DOCS, blocks
from tests.support import packages

PAGE = DOCS / "extending" / "metrics.md"
SOURCE = next(block.text for block in blocks(PAGE) if block.language == "python")
LABELS = ["negative", "positive"]
ROWS = 200
HEAD = "name: reviews\napplication: {}\ndata: {{train: reviews.csv}}\n"


@pytest.fixture(autouse=True)
def cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mean cost, and something that is no metric, in an installed package."""
    points = {metrics.METRICS.group: {"cost": "COST", "function": "mean_cost"}}
    name = f"foreign_metric_{tmp_path.name}"
    return packages.install(tmp_path / "package", monkeypatch, name, SOURCE, points)


def scorer(wrong: slice) -> ClassificationScorer:
    """A model that is wrong about some rows of alternating classes, beginning with negative."""
    true = np.arange(ROWS) % 2
    guess = true.copy()
    guess[wrong] ^= 1
    made = ClassificationScorer(LABELS)
    made.update({"label": true}, {"probabilities": np.eye(2)[guess]})
    made.add("cost", metrics.load("cost"))
    return made


def test_value_and_interval() -> None:
    """Ten negative texts cost 5, and ten positive ones 1."""
    made = scorer(slice(0, 20))
    assert made.metrics()["cost"] == pytest.approx((10 * 5 + 10) / ROWS)
    low, high = made.interval("cost", 500, 0.95)
    # The standard error of the mean of such costs.
    error = np.sqrt(((10 * 25 + 10) / ROWS - 0.3**2) / ROWS)
    assert (0.3 - low, high - 0.3) == pytest.approx((1.96 * error,) * 2, rel=0.25)


def test_lower_cost_is_a_gain_and_lower_is_declared() -> None:
    assert metrics.lower_is_better("cost")
    assert metrics.better("cost", 0.1, 0.2)
    found = compare(
        scorer(slice(0, 20, 2)), scorer(slice(0, 20)), {"cost": (0, np.inf)}, ROWS, 300, 0.95
    )[0]
    assert found.gain == pytest.approx(10 / ROWS)
    assert 0 < found.low < found.gain < found.high
    rows = np.arange(ROWS) < 20
    half = slice_of(scorer(slice(0, 20, 2)), scorer(slice(0, 20)), "cost", "x", rows, Slices())
    assert half.drop == pytest.approx(2.5 - 3.0)


def test_empty_sample_has_no_value_and_another_shape_is_refused() -> None:
    made = scorer(slice(0, 20))
    assert np.isnan(made.resampled("cost", np.zeros((1, ROWS), dtype=np.int64))).all()
    scalar = metrics.RowMetric(lambda rows, weights: np.float64(1))
    made.add("scalar", scalar)
    with pytest.raises(ValueError, match=r"expected shape \(1,\) from a metric, found \(\)"):
        made.metrics()


@pytest.mark.parametrize(
    ("application", "text", "words"),
    [
        (
            "sentiment",
            "evaluation:\n  primary_metric: cots",
            "5: .*primary_metric: .*`cost`",
        ),
        (
            "sentiment",
            "evaluation:\n  extra_metrics: [cots]",
            "5: .*extra_metrics: .*`cost`",
        ),
        ("sentiment", "gate:\n  thresholds: {cost: 5.5}", "5: gate.thresholds.cost: .*from 0 to 5"),
        (
            "sentiment",
            "gate:\n  thresholds: {function: 1}",
            "5: .*expected a RowMetric, found f",
        ),
        ("questions", "evaluation:\n  primary_metric: cost", "5: .*needs rows with one label each"),
    ],
)
def test_refusals_have_their_line(application: str, text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_text(f"{HEAD.format(application)}{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"yaml:{words}"):
        read(file)


def test_name_of_an_own_metric_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {metrics.METRICS.group: {"accuracy": "COST"}}
    packages.install(tmp_path / "other", monkeypatch, "other_metric", SOURCE, points)
    file = tmp_path / "reviews.yaml"
    file.write_text(HEAD.format("sentiment"), encoding="utf-8")
    with pytest.raises(ConfigError, match="package and sentiment both have `accuracy`"):
        read(file)


def test_changed_code_is_another_metric(cost: Path) -> None:
    (before,) = metrics.code_digests(["cost"])
    cost.write_text(SOURCE.replace("5.0", "4.0"), encoding="utf-8")
    assert metrics.code_digests(["cost"]) != [before]
