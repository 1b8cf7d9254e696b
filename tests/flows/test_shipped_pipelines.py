"""Every pipeline that ships, as the page about its application tells to use it: each command there
runs, with the real model, fewer rows and one epoch.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.applications import registry as applications
from tests.docs.markdown import DOCS, ROOT, merged, write_yaml
from tests.support.commands import succeed
from tests.support.elsewhere import elsewhere, predict
from tests.support.homes import Finished, aliases, versions
from tests.support.reader import Reader, reading
from tests.support.reading import load

__all__ = ["elsewhere"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("shipped"),
    pytest.mark.usefixtures("one_prefect"),
]

PIPELINES = sorted((ROOT / "configs").glob("*.yaml"))
ROWS = {"train": 48, "validation": 16, "test": 12}
SHRUNK: dict[str, Any] = {
    "training": {"epochs": 1, "batch_size": 8},
    "contract": {"min_rows_per_class": 1, "max_truncated": 1.0},
    "model": {"max_length": 96},
    "gate": {"rule": "non_inferior", "beat_baseline": False},
    "compute": {"threads": 1, "energy": False},
}
WRITING = {"model": {"max_target_length": 24}, "generation": {"num_beams": 2}}
OWN_FILES = {
    "inbox.csv": "message\nWhere is my parcel?\n",
    "new.csv": "review\nIt broke on the second day.\n",
    "letters.csv": "english\nWhere is the school?\n",
    "reports.csv": "body\nThe bridge will open in May. It took two years.\n",
    "questions.csv": "question\nHow long do I have to return a plant?\n",
    "handbook/returns.md": "A plant may be returned within 14 days. Pots are not taken back.\n",
}
"""What the pages suppose that a reader has."""


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table in the format that its name says."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".jsonl":
            stream.writelines(f"{json.dumps(row)}\n" for row in rows)
        else:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def shrink(pipeline: Path) -> None:
    """Keep evenly spaced rows of a clone's pipeline, and let it train for a moment."""
    config = load(pipeline)
    for split, count in ROWS.items():
        (name,) = getattr(config.data, split)
        rows = rows_of(pipeline.parent / name)
        chosen = [rows[at] for at in sorted({at * len(rows) // count for at in range(count)})]
        write(pipeline.parent / name, chosen)
    record = merged(config.model_dump(mode="json", exclude_unset=True), SHRUNK)
    if "generation" in type(config).model_fields:
        record = merged(record, WRITING)
    record["gate"].pop("thresholds", None)
    write_yaml(pipeline, record)


@pytest.fixture
def reader(finished: Finished, tmp_path: Path) -> Iterator[Reader]:
    """In a clone with the files that the pages suppose."""
    with reading(tmp_path, finished.empty(tmp_path / "mlruns"), {}) as working:
        for name, text in OWN_FILES.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        yield working


@pytest.mark.parametrize("name", [path.stem for path in PIPELINES])
def test_a_page_leads_to_a_model_that_answers_without_this_project(
    name: str, elsewhere: Path, reader: Reader
) -> None:
    home, pipeline = reader.folder / "mlruns", reader.folder / "configs" / f"{name}.yaml"
    shrink(pipeline)
    config = load(pipeline)
    reader.follow(DOCS / "how-to" / f"{config.application}.md")
    assert (versions(home, name), aliases(home, name)) == ([1], {"champion": 1})
    application = applications.get(config.application)
    asked = [c.name for c in application.rows.columns(config.data) if c.kind == "text"]
    (sample,) = config.data.test
    rows = rows_of(pipeline.parent / sample)
    answers = answered(reader, f"onestep predict {name} configs/{sample} > ")
    inputs = [{column: row[column] for column in asked if column in row} for row in rows[:3]]
    theirs = predict(elsewhere, home, f"models:/{name}/1", inputs)
    assert (len(answers), len(theirs)) == (len(rows), 3)
    for row, answer, other in zip(rows, answers, theirs, strict=False):
        assert row.items() <= answer.items()
        assert_same(answer, other)
    assert_compared_with_itself(home, pipeline, len(rows))


def answered(reader: Reader, start: str) -> list[dict[str, Any]]:
    """The table that a command of the page has written."""
    (line,) = [line for line in reader.said if line.startswith(start)]
    return rows_of(reader.folder / line.removeprefix(start))


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Both answers agree; one that would hide a column of the input has another name."""
    for name in theirs.keys() - {"probabilities"}:
        answer = ours.get(f"predicted_{name}", ours[name])
        if name == "score":
            assert float(answer) == pytest.approx(theirs[name], abs=1e-3)
        elif name == "entities":
            assert [one | {"score": 0} for one in answer] == [
                one | {"score": 0} for one in theirs[name]
            ]
        else:
            assert answer == theirs[name]


def assert_compared_with_itself(home: Path, pipeline: Path, rows: int) -> None:
    """A second version of the same model is held against the first, and found to be the same."""
    again = ("--set", "registry.tags={again: again}")
    record = json.loads(succeed(home, "run", pipeline, "--json", *again))
    assert (record["version"], record["alias"]) == (2, "challenger")
    assert record["rows"]["test"] == rows
    assert record["headline"] in record["metrics"].keys() & record["baseline"].keys()
    counted = record["gate"]["mcnemar"] is not None
    same = "is right on the same rows as" if counted else "scores every row as"
    assert f"it {same} the champion" in record["verdict"]
    assert record["gate"]["reference"] == f"models:/{pipeline.stem}/1"
    for one in record["gate"]["metrics"]:
        assert one["challenger"] == pytest.approx(record["metrics"][one["metric"]])
        # Probabilities of two processes may differ in their last bits, and so does the log loss.
        assert one["gain"] == pytest.approx(0, abs=1e-6)
        # A few rows on which nothing differs do not show that nothing differs on others.
        assert one["low"] == pytest.approx(-one["high"], abs=1e-6)
        assert one["low"] <= 1e-6
