"""What is written with predictions is read back by the readers of training data."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from flows.models.reading import Words, columns_of
from flows.models.writing import Output, merged, plain, prediction_names
from tasks.contract.sources import formats

WORDS = Words("rows", lambda number: f"row {number}", str)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("\r\n\t,;\"'\\ \u2028")
)
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=9)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=5
)
again = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, kind: str, columns: list[str], rows: list[dict[str, Any]]) -> Path:
    output = Output(kind, columns)
    path.write_text(output.start() + output.lines(rows), encoding="utf-8", newline="")
    return path


def read(path: Path) -> list[Any]:
    source = formats.open_file(path)
    return [item[1] for item in source.rows() if isinstance(item, tuple)]


@again
@given(st.data())
def test_texts_of_csv_are_read_back(tmp_path: Path, data: st.DataObject) -> None:
    columns = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, TEXTS)), max_size=4))
    path = write(tmp_path / "rows.csv", "csv", columns, rows)
    assert columns_of(formats.open_file(path)) == columns
    assert read(path) == rows


@pytest.mark.parametrize("columns", [["a;b"], ["a;b", "c;d"], ["a\tb", "c|d"], ["|", ";"]])
def test_names_with_other_separators_are_read_back(tmp_path: Path, columns: list[str]) -> None:
    rows = [dict.fromkeys(columns, "x;y"), dict.fromkeys(columns, "x")]
    path = write(tmp_path / "rows.csv", "csv", columns, rows)
    assert columns_of(formats.open_file(path)) == columns
    assert read(path) == rows


EXCEL = (
    st.sampled_from(["=1+1", "+1", "-1", "@a", "#N/A", "_x0041_", "\r\n", "a\x1f", "07"])
    | st.text(max_size=20)
    | st.booleans()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    # The library writes 16 digits of a number, of which Excel shows 15.
    | st.floats(-1e300, 1e300).map(lambda number: float(f"{number:.15g}"))
    | st.dates(date(1901, 1, 1))
)


def written_workbook(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> Path:
    output = Output("xlsx", columns)
    assert output.start() + output.lines(rows) == ""
    content = output.finish()
    assert isinstance(content, bytes)
    path.write_bytes(content)
    return path


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(EXCEL, EXCEL), max_size=5))
def test_cells_of_a_workbook_are_read_back(tmp_path: Path, values: list[tuple[Any, Any]]) -> None:
    columns = ["=name", "other", "label"]
    rows = [dict(zip(columns, (*pair, "a"), strict=True)) for pair in values]
    found = read(written_workbook(tmp_path / "rows.xlsx", columns, rows))
    # An empty cell is no text.
    assert found == [{k: None if v == "" else v for k, v in row.items()} for row in rows]
    for one, other in zip(found, rows, strict=True):
        assert [isinstance(v, str) for v in one.values()] == [
            isinstance(v, str) and v != "" for v in other.values()
        ]


def test_a_workbook_has_no_formula_and_keeps_every_digit(tmp_path: Path) -> None:
    rows = [{"a": "=1+1", "b": 4111111111111111}, {"a": 0.5, "b": [1]}]
    path = written_workbook(tmp_path / "rows.xlsx", ["a", "b"], rows)
    cells = [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(min_row=2)]
    assert [[cell.data_type for cell in row] for row in cells] == [["s", "s"], ["n", "s"]]
    assert [row["b"] for row in read(path)] == ["4111111111111111", "[1]"]


def test_what_a_cell_cannot_hold_is_refused() -> None:
    output = Output("xlsx", ["text"])
    assert list(output.checked([(1, {"text": "x" * 32_767})], WORDS))
    with pytest.raises(DataError, match=r"row 1: column 'text' has a text of more than 32,767"):
        list(output.checked([(1, {"text": "x" * 32_768})], WORDS))


@again
@given(st.lists(st.dictionaries(NAMES, VALUES), max_size=4))
def test_values_of_json_are_read_back(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = write(tmp_path / "rows.jsonl", "jsonl", [], rows)
    if rows:
        assert read(path) == [plain(row) for row in rows]
    # Strict readers know no NaN.
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        json.loads(line, parse_constant=pytest.fail)


@given(VALUES)
def test_lists_and_objects_in_csv_are_json(value: Any) -> None:
    (_, (cell, _)) = csv.reader(
        io.StringIO(
            Output("csv", ["value", "last"]).start()
            + Output("csv", ["value", "last"]).lines([{"value": value}]),
            newline="",
        ),
        strict=True,
    )
    if isinstance(value, list | dict):
        assert json.loads(cell, parse_constant=pytest.fail) == plain(value)
    else:
        assert cell == ("" if plain(value) is None else str(value))


def test_pandas_reads_a_lone_carriage_return_back(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "csv", ["text"], [{"text": "a\rb"}, {"text": "c"}])
    assert pd.read_csv(path)["text"].to_list() == ["a\rb", "c"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        ({"a": [float("inf"), 1.5]}, {"a": [None, 1.5]}),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "/w=="),
        (date(2024, 2, 29), "2024-02-29"),
        (Decimal("1.10"), "1.10"),
        ((1, "a"), [1, "a"]),
    ],
)
def test_values_are_written_as_json_has_them(value: object, written: object) -> None:
    assert plain(value) == written


def test_predictions_never_take_the_name_of_a_column() -> None:
    columns = ["text", "label", "predicted_label", "score"]
    names = prediction_names(["label", "score", "probabilities"], columns, False, "")
    assert names == {"label": "predicted_predicted_label", "score": "predicted_score"}
    rows = [{"text": "a"}, {"text": "b", "label": "X", "id": 7}]
    answers = [{"label": "pos", "score": 1.0}, {"label": "neg", "score": 0.5}]
    names = prediction_names(["label", "score"], ["text", "label", "id"], False, "")
    found = list(merged(rows, answers, names))
    assert found[0] == {"text": "a", "predicted_label": "pos", "score": 1.0}
    assert found[1] == rows[1] | {"predicted_label": "neg", "score": 0.5}


def test_probabilities_that_a_model_does_not_give_are_refused() -> None:
    with pytest.raises(DataError, match="gives no probabilities, only label, score"):
        prediction_names(["label", "score"], [], True, "--probabilities")


def test_what_csv_cannot_hold_is_refused_before_anything_is_written() -> None:
    rows = [(1, {"text": "a"}), (2, {"text": "b\0"})]
    with pytest.raises(DataError, match=r"^row 2: column 'text' has a zero byte.*--to jsonl"):
        list(Output("csv", ["text"]).checked(rows, WORDS))
    assert list(Output("jsonl", ["text"]).checked(rows, WORDS)) == rows
    with pytest.raises(DataError, match="that differ in spaces: 'text'"):
        Output("csv", ["text", " text"]).start()
