from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.contract.rows import extra_columns
from tasks.contract.rows.layout import Layout
from tasks.contract.rules.findings import Place
from tests.support.sources import locate
from tests.support.tables import Row, write_table

ROWS: list[Row] = [{"id": n, "text": f"text {n}", "label": "a"} for n in (1, 2, 3)]


def found(folder: Path, name: str, *rows: int) -> list[dict[str, Any]]:
    file = str(folder / name)
    layout = Layout({"text": "text", "label": "label"}, (file,), None)
    places = [Place("train", file, row) for row in rows]
    with extra_columns.lookup(places, layout, locate(folder, train=name)) as find_extra:
        return [find_extra(place) for place in places]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_extra_columns_are_found_by_place(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, ROWS)
    number = str if name == "rows.csv" else int
    assert found(tmp_path, name, 3, 1) == [{"id": number(3)}, {"id": number(1)}]


def test_a_row_that_cannot_be_parsed_has_none(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text,label\n1,x,a\n2,y\n3,z,a\n", "utf-8")
    assert found(tmp_path, "rows.csv", 2, 3) == [{}, {"id": "3"}]


def test_a_file_without_extra_columns_has_none(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.csv", [{"text": "x", "label": "a"}])
    assert found(tmp_path, "rows.csv", 1) == [{}]
