"""Every pipeline that ships runs to a registered model, on fewer rows and for one epoch."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from configs.reading import load
from tasks.applications import base as applications
from tests.docs.markdown import ROOT
from tests.support.commands import succeed
from tests.support.elsewhere import elsewhere, predict

__all__ = ["elsewhere"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("shipped")]

PIPELINES = sorted((ROOT / "configs").glob("*.yaml"))
ROWS = {"train": 48, "validation": 16, "test": 12}
SHRUNK = (
    "training.epochs=1",
    "training.batch_size=8",
    "contract.min_rows_per_class=1",
    "contract.max_truncated=1.0",
    "model.max_length=96",
    "gate.floors={}",
    "compute.threads=1",
    "compute.energy=false",
)
WRITING = ("model.max_target_length=24", "generation.num_beams=2")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a shipped sample."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def shrink(pipeline: Path, folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Overrides that name files with evenly spaced rows, and the rows for testing."""
    overrides, chosen = list(SHRUNK), []
    if "generation" in applications.get(load(pipeline).application).uses:
        overrides += WRITING
    for split, count in ROWS.items():
        (name,) = getattr(load(pipeline).data, split)
        rows = rows_of(pipeline.parent / name)
        chosen = [rows[at] for at in sorted({at * len(rows) // count for at in range(count)})]
        file = folder / f"{split}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in chosen), encoding="utf-8")
        overrides.append(f"data.{split}={file}")
    return overrides, chosen


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_ends_in_a_model_that_answers_without_this_project(
    pipeline: Path, elsewhere: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    overrides, rows = shrink(pipeline, tmp_path)
    flags = [part for override in overrides for part in ("--set", override)]
    record = json.loads(succeed(home, "run", pipeline, "--json", *flags))
    config = load(pipeline)
    application = applications.get(config.application)
    assert (record["model"], record["version"]) == (pipeline.stem, 1)
    assert record["rows"]["test"] == len(rows)
    assert record["headline"] in record["metrics"]
    assert record["headline"] in record["baseline"]
    asked = [c.name for c in application.columns(config.data) if c.kind == "text"]
    inputs = [{name: row[name] for name in asked if name in row} for row in rows[:3]]
    (tmp_path / "inputs.jsonl").write_text("\n".join(map(json.dumps, inputs)), encoding="utf-8")
    printed = succeed(home, "predict", f"{pipeline.stem}/1", tmp_path / "inputs.jsonl")
    ours = [json.loads(line) for line in printed.splitlines()]
    theirs = predict(elsewhere, home, f"models:/{pipeline.stem}/1", inputs)
    assert len(ours) == len(theirs) == 3
    for given, answer, other in zip(inputs, ours, theirs, strict=True):
        assert given.items() <= answer.items()
        for name in other.keys() - {"probabilities"}:
            expected = pytest.approx(other[name], abs=1e-3) if name == "score" else other[name]
            assert answer[name] == expected
    assert_compared_with_itself(home, pipeline, flags)


def assert_compared_with_itself(home: Path, pipeline: Path, flags: list[str]) -> None:
    """A second version of the same model is held against the first, and found to be the same."""
    tags = ("--set", "registry.tags={again: again}", "--set", "gate.rule=not_worse")
    record = json.loads(succeed(home, "run", pipeline, "--json", *flags, *tags))
    assert (record["version"], record["alias"]) == (2, "challenger")
    assert "scores every row as the champion does" in record["verdict"]
    assert record["gate"]["reference"] == f"models:/{pipeline.stem}/1"
    for one in record["gate"]["metrics"]:
        assert one["challenger"] == pytest.approx(record["metrics"][one["metric"]])
        assert (one["gain"], one["low"], one["high"]) == (0.0, 0.0, 0.0)
