from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from configs.schema import Pipeline
from tasks.contract.rows import quarantine, readmission
from tasks.contract.rows.readmission import Readmission
from tasks.contract.rules.findings import Place
from tests.support.sources import locate
from tests.support.tables import parcels, pipeline, write_table


@pytest.fixture
def config(tmp_path: Path) -> Pipeline:
    """A pipeline of which three rows are in the quarantine."""
    file = str(write_table(tmp_path / "train.jsonl", parcels(4)))
    broken = [("text: the value is missing", {"text": None, "label": "billing"})] * 2
    broken.append(("not valid JSON", '{"text": '))  # type: ignore[arg-type]
    records = [
        quarantine.record(Place("train", file, row), [("missing", reason)], raw)
        for row, (reason, raw) in enumerate(broken, 5)
    ]
    quarantine.write(quarantine.file_of(tmp_path, "parcels"), records)
    return pipeline(tmp_path, {"train": "train.jsonl"})


def take_back(config: Pipeline, *records: Any, name: str = "fixed.jsonl") -> Readmission:
    folder = config.data.folder
    if name.endswith(".jsonl"):
        (folder / name).write_text("\n".join(map(json.dumps, records)), "utf-8")
    else:
        write_table(folder / name, records)
    return readmission.take_back(config, folder, locate(folder, train="train.jsonl"), folder / name)


def record(config: Pipeline, row: int, **raw: Any) -> dict[str, Any]:
    file = str(config.data.folder / "train.jsonl")
    return {"split": "train", "file": file, "row": row, "raw": raw}


def stored(config: Pipeline) -> list[dict[str, Any]]:
    path = quarantine.fixes_of(config.data.folder, "parcels")
    return [entry["row"] for entry in quarantine.read(path)]


def test_repaired_rows_are_stored(config: Pipeline) -> None:
    repaired = {"text": "mended", "label": "billing"}
    again = {"text": "parsed", "label": "delivery"}
    found = take_back(config, record(config, 5, **repaired), record(config, 7, **again))
    assert [place.row for place in found.accepted] == [5, 7]
    assert found.problems == []
    assert stored(config) == [repaired, again]


def test_a_table_may_have_the_columns_of_the_application(config: Pipeline) -> None:
    row = record(config, 6) | {"text": "mended", "label": "delivery", "reasons": "missing"}
    del row["raw"]
    assert [place.row for place in take_back(config, row, name="fixed.csv").accepted] == [6]
    assert stored(config) == [{"text": "mended", "label": "delivery"}]


def test_other_rows_are_refused_with_the_reason(config: Pipeline) -> None:
    found = take_back(
        config,
        record(config, 4, text="not in the quarantine", label="billing"),
        record(config, 5, text=None, label="billing"),
        record(config, 6, text=" ", label="billing"),
        record(config, 7) | {"raw": "no object"},
        record(config, 7) | {"row": "x"},
        3,
    )
    folder = str(config.data.folder)
    assert found.accepted == []
    assert [str(problem).replace(folder, "HERE") for problem in found.problems] == [
        "HERE/fixed.jsonl row 1: no row in the quarantine has its split, file and row "
        "(keep these three as they are)",
        "HERE/fixed.jsonl row 2: the row is as it was (repair it first)",
        "HERE/fixed.jsonl row 4: expected an object with the columns as `raw`",
        "HERE/fixed.jsonl row 5: no row in the quarantine has its split, file and row "
        "(keep these three as they are)",
        "HERE/fixed.jsonl row 6: expected a JSON object",
        "HERE/train.jsonl row 6: still breaks the contract: text: the text is empty",
    ]
    assert stored(config) == []


def test_an_empty_quarantine_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "train.jsonl", parcels(4))
    with pytest.raises(DataError, match="the quarantine is empty"):
        take_back(pipeline(tmp_path, {"train": "train.jsonl"}))
