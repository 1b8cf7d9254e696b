from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import StorageFailure
from tasks.contract.passes import rejected_rows
from tasks.contract.rows.layout import Layout
from tasks.contract.rules.findings import Place
from tests.support import passes
from tests.support.sources import locate
from tests.support.tables import Row, parcels, quarantined, write_table


def rows() -> list[Row]:
    """Rows of which the last four leave: two by themselves, two for an earlier one."""
    mail = {"text": "write to jane@example.com", "label": " delivery", "id": "x"}
    numbered = [{**row, "id": f"no. {n}"} for n, row in enumerate(parcels(40), 1)]
    return [
        *numbered,
        mail,
        {"text": "", "label": "billing", "id": "empty"},
        {"text": "other", "label": None, "id": "unlabelled"},
        {**numbered[7], "id": "again"},
        {**mail, "text": mail["text"] + "\n"},
    ]


def test_rows_leave_as_they_were_read(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": rows()})
    path = tmp_path / "quarantine.jsonl"
    summary = rejected_rows.set_aside(path, checked.result, checked.sources)
    records = quarantined(path)
    assert summary.rows == 4
    assert [(entry["split"], entry["row"], entry["rules"]) for entry in records] == [
        ("train", 42, ["missing"]),
        ("train", 43, ["missing"]),
        ("train", 44, ["duplicates"]),
        ("train", 45, ["duplicates"]),
    ]
    assert [entry["others"] for entry in records] == [
        {"id": "empty"},
        {"id": "unlabelled"},
        {"id": "again"},
        {"id": "x"},
    ]
    assert records[3]["raw"] == {"text": "write to jane@example.com\n", "label": " delivery"}


def test_lost_rows_are_a_failure_and_leave_the_quarantine_before(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": rows()})
    path = tmp_path / "quarantine.jsonl"
    path.write_bytes(b"before\n")
    lost = replace(checked.result, kept=np.zeros_like(checked.result.kept))
    with pytest.raises(StorageFailure, match="rows were lost between the passes: 0 kept, 4 set"):
        rejected_rows.set_aside(path, lost, checked.sources)
    assert path.read_bytes() == b"before\n"


NUMBERED: list[Row] = [{"id": n, "text": f"text {n}", "label": "a"} for n in (1, 2, 3)]


def extra_of(folder: Path, name: str, *rows: int) -> list[dict[str, Any]]:
    file = str(folder / name)
    layout = Layout({"text": "text", "label": "label"}, (file,), None)
    places = [Place("train", file, row) for row in rows]
    with rejected_rows.extra_columns(places, layout, locate(folder, train=name)) as find_extra:
        return [find_extra(place) for place in places]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_extra_columns_are_found_by_place(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, NUMBERED)
    number = str if name == "rows.csv" else int
    assert extra_of(tmp_path, name, 3, 1) == [{"id": number(3)}, {"id": number(1)}]


def test_a_row_that_cannot_be_parsed_has_none(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text,label\n1,x,a\n2,y\n3,z,a\n", "utf-8")
    assert extra_of(tmp_path, "rows.csv", 2, 3) == [{}, {"id": "3"}]


def test_a_file_without_extra_columns_has_none(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.csv", [{"text": "x", "label": "a"}])
    assert extra_of(tmp_path, "rows.csv", 1) == [{}]
