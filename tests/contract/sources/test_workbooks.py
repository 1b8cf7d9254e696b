"""A sheet of a workbook has the rows that were written into it, with their types."""

from __future__ import annotations

import gzip
import math
import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tasks.contract.sources import formats, workbooks
from tasks.contract.sources.base import Options, Unreadable
from tests.support.workbooks import Sheets, written

HEADER = ["text", "label"]


def items(path: Path, **options: Any) -> list[Any]:
    return list(formats.open_file(path, Options(**options)).rows())


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        items(path, **options)
    return str(caught.value).replace(str(path), "FILE")


def test_values_keep_their_types(tmp_path: Path) -> None:
    values = [7.0, 7.5, True, "007", date(2026, 2, 1), datetime(2026, 2, 1, 13, 30), None]
    names = [f"c{n}" for n in range(len(values))]
    path = written(tmp_path / "a.xlsx", {"One": [names, values, [time(3, 4), timedelta(days=1)]]})
    (_, first), (_, second) = items(path)
    assert [(type(value), value) for value in first.values()] == [
        (int, 7),
        (float, 7.5),
        (bool, True),
        (str, "007"),
        (date, date(2026, 2, 1)),
        (datetime, datetime(2026, 2, 1, 13, 30)),
        (type(None), None),
    ]
    assert second["c0"] == "03:04:00"
    assert second["c6"] is None


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e15, 1e15),
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)).map(
        lambda d: d.replace(microsecond=0)
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=9),
    st.sampled_from(["two\nlines", "a\tb", " ", "=", "'quoted", "#N/A?", "1e5", "TRUE", "\r\n"]),
).filter(lambda value: not (isinstance(value, str) and re.match(r"=.|#", value)))
"""A text that begins like a formula or an error is one to the library that writes."""


def plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date()
    return None if value == "" else value


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_what_is_written_comes_back(tmp_path: Path, rows: list[list[Any]]) -> None:
    path = written(tmp_path / "a.xlsx", {"One": [HEADER, *rows]})
    expected = [[plain(value) for value in row] for row in rows]
    expected = [row for row in expected if row != [None, None]]
    found = [list(row.values()) for _, row in items(path)]
    for ours, theirs in zip(found, expected, strict=True):
        for value, other in zip(ours, theirs, strict=True):
            close = isinstance(other, float) and math.isclose(value, other, rel_tol=1e-14)
            assert close or (type(value), value) == (type(other), other)


def test_errors_are_missing_and_formulas_have_their_stored_values(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (HEADER, ["#N/A", "x"], ["text", "#DIV/0!"]):
        book.active.append(row)
    book.active["A2"].data_type = "e"
    book.active["B3"].data_type = "e"
    book.save(tmp_path / "a.xlsx")
    rows = [row for _, row in items(tmp_path / "a.xlsx")]
    assert rows == [{"text": None, "label": "x"}, {"text": "text", "label": None}]


def test_lines_are_the_rows_of_the_sheet(tmp_path: Path) -> None:
    rows = [[], [None, *HEADER][1:], [], ["a", "x"], [None, None], ["b", "y"]]
    path = written(tmp_path / "a.xlsx", {"One": rows})
    source = formats.open_file(path)
    assert source.columns() == HEADER
    assert [number for number, _ in source.rows()] == [1, 2]  # type: ignore[misc]
    assert {number: line for number, line, _ in source.find({1, 2})} == {1: 4, 2: 6}


def test_a_value_outside_of_the_named_columns_is_not_lost(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": [HEADER, ["a", "x", 1], ["b", "y"]]})
    broken, (number, row) = items(path)
    assert broken == Unreadable(1, "expected 2 cells, found 3", '["a", "x", 1]')
    assert (number, row) == (2, {"text": "b", "label": "y"})


def test_characters_that_xml_cannot_hold_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": [HEADER, ["two_x000D_\nlines", "x"]]})
    assert items(path) == [(1, {"text": "two\r\nlines", "label": "x"})]


def test_half_of_a_surrogate_pair_cannot_be_read_and_a_whole_one_is_a_character(
    tmp_path: Path,
) -> None:
    rows = [HEADER, ["half _xD83D_", "x"], ["whole _xD83D__xDE00_", "x"]]
    source = formats.open_file(written(tmp_path / "a.xlsx", {"One": rows}))
    (batch,) = source.batches(HEADER)
    raw = r'["half \ud83d", "x"]'
    assert batch.unreadable == [Unreadable(1, "half of a surrogate pair", raw)]
    assert list(batch.items()) == [(2, {"text": "whole \U0001f600", "label": "x"})]
    path = written(tmp_path / "b.xlsx", {"One": [["text", "_xD83D_"], ["a", "x"]]})
    with pytest.raises(DataError, match="sheet 'One' row 1: half of a surrogate pair"):
        formats.open_file(path).columns()


ROWS = [HEADER, ["a", "x"]]
OTHER = [["key", "value"], ["k", "v"]]


@pytest.mark.parametrize(
    ("sheets", "hidden", "chosen"),
    [
        ({"One": ROWS}, [], "One"),
        ({"One": ROWS, "Two": [], "Three": [HEADER]}, [], "One"),
        ({"Empty": [], "Two": ROWS}, [], "Two"),
        ({"One": ROWS, "Two": ROWS}, ["One"], "Two"),
        ({"One": ROWS, "Legend": OTHER}, [], "One"),
        ({"One": ROWS, "Legend": [*OTHER, ["text", "what they wrote"], ["x", "good"]]}, [], "One"),
    ],
)
def test_the_only_sheet_that_can_be_meant_is_read(
    tmp_path: Path, sheets: Sheets, hidden: list[str], chosen: str
) -> None:
    source = formats.open_file(written(tmp_path / "a.xlsx", sheets, hidden))
    assert source.reading() == {"sheet": chosen}
    assert [row for _, row in source.rows()] == [{"text": "a", "label": "x"}]  # type: ignore[misc]


@pytest.mark.parametrize(
    "sheets",
    [
        {"May": ROWS, "June": ROWS},
        {"May": [["A"], ["b"]], "J": ROWS},
        {"May": [["Text ", "Label"], ["a", "x"]], "June": ROWS},
    ],
)
def test_sheets_that_can_be_meant_are_asked(tmp_path: Path, sheets: Sheets) -> None:
    path = written(tmp_path / "a.xlsx", sheets)
    first, second = sheets
    assert refused(path) == (
        f"FILE: several sheets can be meant: '{first}', '{second}' "
        f'(set data.sheet: "{first}" or data.sheet: "{second}")'
    )
    assert items(path, sheet=second) == [(1, {"text": "a", "label": "x"})]
    assert items(path, sheet=second, usual_layout=True) == items(path, sheet=second)


def test_a_sheet_with_a_title_above_its_header_can_be_meant_too(tmp_path: Path) -> None:
    june = [["June", "2026"], [], ["Label", "TEXT", "by"], ["x", "a"]]
    path = written(tmp_path / "a.xlsx", {"May": ROWS, "June": june})
    assert "several sheets can be meant: 'May', 'June'" in refused(path)


def test_a_sheet_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": ROWS})
    advice = "set data.sheet to one of them"
    assert refused(path, sheet="Two") == f"FILE: expected a sheet 'Two', found 'One' ({advice})"
    assert items(path, sheet="Two", usual_layout=True) == items(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "the sheet is empty"),
        ([["text", "text"]], "row 1 names text twice (rename one)"),
        ([["a", None, None, "b"], ["x"]], "row 1: columns 2, 3 have no name"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(
    tmp_path: Path, rows: list[list[Any]], words: str
) -> None:
    path = written(tmp_path / "a.xlsx", {"One": rows})
    with pytest.raises(DataError, match=re.escape(f"{path}, sheet 'One': {words}")):
        formats.open_file(path).columns()


@pytest.mark.parametrize(
    "content", [b"text,label\na,b\n", b"", b"PK\x03\x04" + b"\0" * 50, b"\xd0\xcf\x11\xe0"]
)
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    words = "not an Excel workbook (.xlsx), cut off, or protected by a password"
    assert refused(path) == f"FILE: {words}"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_workbook_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = written(tmp_path / "a.xlsx", {"One": ROWS})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "not an Excel workbook" in refused(path)


def test_a_zipped_workbook_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": ROWS})
    (tmp_path / "a.xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert items(tmp_path / "a.xlsx.gz") == items(path)


def test_a_missing_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "LIBRARY", "a_library_that_nobody_has")
    with pytest.raises(DataError, match=r"\(pip install 'onestep\[excel\]'\)$"):
        formats.open_file(tmp_path / "a.xlsx")
