from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from tasks import evaluation
from tasks.arrow import MappedTable
from tasks.evaluation import EvaluationResult, evaluate
from tasks.finetuning import FinetuningResult
from tasks.predictor import Predictor
from tasks.store import read_json
from tests.support.pipelines import Prepared, prepare
from tests.support.rows import Row, flipped, reviews

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


@pytest.fixture(scope="module")
def mistaken(
    prepared: Prepared, tuned: FinetuningResult, tmp_path_factory: pytest.TempPathFactory
) -> EvaluationResult:
    """The fine-tuned model, measured on a file whose labels are wrong."""
    folder = tmp_path_factory.mktemp("mistaken")
    rows = reviews()
    splits = {"train": rows[:100], "test": flipped(rows[100:])}
    data = {name: str(write_tickets(folder / f"{name}.csv", splits[name])) for name in splits}
    section = {"validation": 0.2, **data, "id_column": "ticket"}
    other = prepare(folder, str(prepared.base.path), {}, data=section)
    return evaluate(other.config, other.workspace, other.validated, other.tokenized, tuned)


def write_tickets(path: Path, rows: list[Row]) -> Path:
    """Rows with a number each, and with a line break in each comment."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("ticket", "comment", "text", "label"))
        writer.writerows((f"T-{at}", "a\nb", *row) for at, row in enumerate(rows, 1))
    return path


def test_metrics_are_those_of_the_model_that_is_served(
    prepared: Prepared, evaluated: EvaluationResult
) -> None:
    table = MappedTable(prepared.validated.stored.path / "test.arrow")
    rows = table.slice(0, len(table)).to_pandas()
    answers = Predictor().open(evaluated.package).predict(None, rows[["text"]])
    labels = prepared.validated.facts.labels
    right = [
        labels[row] == label for row, label in zip(rows["label"], answers["label"], strict=True)
    ]
    assert evaluated.metrics["accuracy"] == sum(right) / len(right)
    assert evaluated.metrics["rows"] == len(rows) == 24
    low, high = evaluated.interval
    assert low <= evaluated.metrics[evaluated.primary_metric] <= high
    assert (all(right), evaluated.primary_metric) == (True, "accuracy")
    assert (low, high) == (pytest.approx(0.025 ** (1 / 24)), 1.0)
    assert evaluated.note.startswith(f"{evaluated.primary_metric} ")


def test_mistakes_are_named_by_file_and_row_without_their_text(mistaken: EvaluationResult) -> None:
    mistakes = read_json(mistaken.stored.path / "mistakes.json")
    assert len(mistakes) >= 15
    with (mistaken.stored.path.parents[3] / "test.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for mistake in mistakes:
        assert mistake["file"] == "test.csv"
        assert mistake["label"] == rows[mistake["row"] - 1]["label"]
        assert rows[mistake["row"] - 1]["text"] not in str(mistake)
        # A row has two lines, and the first line is the header.
        assert mistake["line"] == 2 * mistake["row"]
        assert mistake["id"] == f"T-{mistake['row']}"
    outcomes = pd.read_parquet(mistaken.stored.path / evaluation.OUTCOMES)
    assert list(outcomes["line"]) == [2 * row for row in outcomes["row"]]
    assert list(outcomes["id"]) == [f"T-{row}" for row in outcomes["row"]]


def test_second_evaluation_is_reused(
    prepared: Prepared, evaluated: EvaluationResult, tuned: FinetuningResult
) -> None:
    again = evaluate(
        prepared.config, prepared.workspace, prepared.validated, prepared.tokenized, tuned
    )
    assert again.stored.reused
    assert (again.metrics, again.interval) == (evaluated.metrics, evaluated.interval)


def test_plots_are_pictures(evaluated: EvaluationResult) -> None:
    names = {path.stem for path in evaluated.stored.path.glob("*.png")}
    assert names == {"confusion_matrix", "reliability", "loss_curves"}
    for name in names:
        assert imread(evaluated.stored.path / f"{name}.png").std() > 0
