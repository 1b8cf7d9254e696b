"""A loss and a metric from outside of the source tree, through the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from flows.run.reading import read
from tasks.applications.shared.losses import LOSSES
from tasks.metrics import METRICS
from tasks.store import files_below
from tasks.training import events
from tests.docs.markdown import DOCS, blocks
from tests.support import packages
from tests.support.commands import succeed
from tests.support.homes import Finished

SOURCE = """
from functools import partial
from tasks.applications.shared.losses import cross_entropy_sum


def my_focal(section):
    return partial(half, gamma=section.focal_gamma)


def half(logits, targets, *, gamma, **settings):
    return 0.5 * cross_entropy_sum(logits, targets, focal_gamma=gamma, **settings)
"""


METRIC = next(b.text for b in blocks(DOCS / "extending" / "metrics.md") if b.language == "python")


@pytest.fixture
def my_focal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Half of the focal loss and the mean cost, in an installed package."""
    points = {
        LOSSES.group: {"my_focal": "my_focal"},
        METRICS.group: {"cost": "COST"},
    }
    source = SOURCE + METRIC
    return packages.install(tmp_path / "package", monkeypatch, "foreign_loss", source, points)


@pytest.mark.slow
@pytest.mark.usefixtures("one_prefect")
def test_loss_and_metric_of_a_package(finished: Finished, my_focal: Path, tmp_path: Path) -> None:
    """The loss trains, the metric decides, and the served model has nothing of them."""
    home = finished.copy(tmp_path / "home")
    sets = ["--set", "training.epochs=1", "--set", "training.loss.name=my_focal"]
    sets += ["--set", "evaluation.primary_metric=cost", "--set", "gate.thresholds.cost=4.5"]
    path = {"PYTHONPATH": str(my_focal.parent)}
    record = json.loads(succeed(home, "run", finished.file, *sets, "--json", extra=path))
    folder = next((home / "stages" / "finetuning").glob("*/events.jsonl")).parent
    first = events.steps(folder)[0]["loss"]
    usual = next((finished.home / "stages" / "finetuning").glob("*/events.jsonl")).parent
    # Near the even guess of two classes the focal loss with gamma 2 is a quarter.
    assert first == pytest.approx(events.steps(usual)[0]["loss"] / 8, rel=0.3)
    assert record["training"]["first_loss"] == first
    _check_cost(record, home)
    served = [p for p in files_below(home) if p.suffix == ".py"]
    assert served
    assert not any("foreign_loss" in p.read_text(encoding="utf-8") for p in served)


def _check_cost(record: dict[str, Any], home: Path) -> None:
    """The primary metric is the cost of the confusion matrix, and the gate has it."""
    tuned, evaluated = (home / "stages" / stage for stage in ("finetuning", "evaluation"))
    matrix = json.loads(next(evaluated.glob("*/matrix.json")).read_text(encoding="utf-8"))
    (_, missed), (false, _) = matrix["counts"]
    assert matrix["labels"] == ["negative", "positive"]
    value = (5 * missed + false) / record["metrics"]["rows"]
    assert record["headline"] == "cost"
    assert record["metrics"]["cost"] == pytest.approx(value)
    low, high = record["interval"]
    assert low <= value <= high
    validations = [
        e
        for e in events.history(next(tuned.glob("*/events.jsonl")).parent)
        if e["kind"] == "validation"
    ]
    assert "cost" in validations[0]["metrics"]
    threshold = next(c for c in record["gate"]["checks"] if c["name"] == "threshold of cost")
    assert threshold["passed"]


def test_changed_code_is_another_loss(my_focal: Path) -> None:
    before = LOSSES.code_digest("my_focal")
    my_focal.write_text(SOURCE.replace("0.5", "0.25"), encoding="utf-8")
    assert LOSSES.code_digest("my_focal") != before
    assert LOSSES.code_digest("focal") == ""


def test_unknown_loss_is_refused_with_its_line(my_focal: Path, tmp_path: Path) -> None:
    file = tmp_path / "reviews.yaml"
    text = "name: reviews\napplication: sentiment\ndata: {train: reviews.csv}\n"
    file.write_text(text + "training:\n  loss:\n    name: my_focall\n")
    with pytest.raises(ConfigError, match=r"yaml:6: training.loss.name: .*did you mean `my_focal`"):
        read(file)
