"""Cells whose values a workbook does not have are refused."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import openpyxl
import pytest

from configs.errors import DataError
from tasks.contract.sources import formats
from tests.support.workbooks import written

HEADER = ["text", "label"]


def columns(book: openpyxl.Workbook, path: Path) -> str:
    """What is wrong with the sheet of a workbook."""
    book.save(path)
    with pytest.raises(DataError) as caught:
        formats.open_file(path).columns()
    return str(caught.value)


def test_merged_cells_below_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for row in ([], ["text", "group", "label"], *(["a", "g1", "x"] for _ in range(6))):
        book.active.append(row)
    book.active.merge_cells("A1:C1")
    book.save(path)
    assert formats.open_file(path).columns() == ["text", "group", "label"]
    book.active.merge_cells("B3:B5")
    assert columns(book, path) == (
        f"{path}, sheet 'Sheet': merged cells, of which only the first has the value: B3:B5 "
        "(unmerge them, and fill each with its value)"
    )


def test_formulas_that_no_one_computed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for row in (HEADER, ["a", "=UPPER(A2)"], ["b", "=UPPER(A3)"]):
        book.active.append(row)
    assert columns(book, path) == (
        f"{path}, sheet 'Sheet': formulas without a stored value: B2, B3 "
        "(open the workbook in Excel or LibreOffice, and save it)"
    )


def rewritten(path: Path, name: str, pattern: str, replacement: str) -> Path:
    """A workbook with another text in one of its parts."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name).decode() for name in book.namelist()}
    assert re.search(pattern, parts[name])
    parts[name] = re.sub(pattern, replacement, parts[name])
    with zipfile.ZipFile(path, "w") as book:
        for one, part in parts.items():
            book.writestr(one, part)
    return path


SHEET, BOOK = "xl/worksheets/sheet1.xml", "xl/workbook.xml"


@pytest.mark.parametrize(("stored", "value"), [("<v></v>", None), ("<v>A</v>", "A")])
def test_a_stored_value_of_a_formula_counts_also_if_it_is_empty(
    tmp_path: Path, stored: str, value: str | None
) -> None:
    path = written(tmp_path / "a.xlsx", {"One": [HEADER, ["a", "=UPPER(A2)"]]})
    cell = f'<c r="B2" t="str"><f>1</f>{stored}</c>'
    source = formats.open_file(rewritten(path, SHEET, r'<c r="B2"[^>]*>.*?</c>', cell))
    assert source.columns() == HEADER
    assert list(source.rows()) == [(1, {"text": "a", "label": value})]


FORMULAS = [HEADER, ["a", "=LEN(A2)-1"], ["b", "=LEN(A3)-1"], ["c", 5]]
ON_LOAD = r'<calcPr calcId="\d+" fullCalcOnLoad="1"\s*/>'


@pytest.mark.parametrize("properties", [r"\g<0>", ""])
def test_formulas_with_the_0_of_programs_that_do_not_compute_are_refused(
    tmp_path: Path, properties: str
) -> None:
    path = written(tmp_path / "a.xlsx", {"One": FORMULAS})
    rewritten(path, SHEET, r"<v\s*/>|<v></v>", "<v>0</v>")
    rewritten(path, BOOK, ON_LOAD, properties)
    with pytest.raises(DataError) as caught:
        formats.open_file(path).columns()
    assert str(caught.value) == (
        f"{path}, sheet 'One': formulas that were never computed, with a 0 in each: B2, B3 "
        "(open the workbook in Excel, or recalculate it in LibreOffice (Ctrl+Shift+F9), "
        "and save it)"
    )


@pytest.mark.parametrize(
    ("part", "pattern", "replacement", "first"),
    [
        (BOOK, ON_LOAD, '<calcPr calcId="191029"/>', 0),
        (SHEET, r"(LEN\(A2\).*?)<v>0</v>", r"\1<v>1</v>", 1),
        (SHEET, r'r="B2"([^>]*>.*?)<v>0</v>', r'r="B2" t="b"\1<v>0</v>', False),
    ],
)
def test_a_0_that_was_computed_is_a_value(
    tmp_path: Path, part: str, pattern: str, replacement: str, first: object
) -> None:
    path = written(tmp_path / "a.xlsx", {"One": FORMULAS})
    rewritten(path, SHEET, r"<v\s*/>|<v></v>", "<v>0</v>")
    source = formats.open_file(rewritten(path, part, pattern, replacement))
    assert source.columns() == HEADER
    assert [row["label"] for _, row in source.rows()] == [first, 0, 5]  # type: ignore[misc]


def test_cells_that_do_not_name_their_places_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": [HEADER, ["a", "=LEN(A2)-1"], ["b", 5]]})
    with pytest.raises(DataError, match="formulas without a stored value: B2 "):
        formats.open_file(rewritten(path, SHEET, r' r="[A-Z]?\d+"', "")).columns()


def test_the_properties_of_a_workbook_may_be_in_a_file_of_any_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", {"One": FORMULAS})
    rewritten(path, SHEET, r"<v\s*/>|<v></v>", "<v>0</v>")
    rewritten(path, BOOK, ON_LOAD, '<calcPr calcId="191029"/>')
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    with zipfile.ZipFile(path, "w") as book:
        for name, part in parts.items():
            other = name.replace("workbook.xml", "workbook22.xml")
            book.writestr(other, part.replace(b"workbook.xml", b"workbook22.xml"))
    assert formats.open_file(path).columns() == HEADER
