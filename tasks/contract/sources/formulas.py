"""Cells of a workbook whose values the file does not have: formulas, and merged cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, iterparse

from configs.errors import Problem
from configs.language import english

MOST_SHOWN: Final = 3
"""Most cells that a message names."""


def unstored(book: Any, name: str, top: int, place: str) -> Iterator[Problem]:
    """Cells of a sheet whose values it does not have: merged ones, and formulas never computed.

    Merged cells down to the row ``top``, that of the column names, do not count.
    """
    merged, formulas = _merged_and_formulas(book[name], top)
    if merged:
        message = english(
            "merged cells, of which only the first has the value: {ranges}", ranges=_some(merged)
        )
        yield Problem(place, message, english("unmerge them, and fill each with its value"))
    if empty := [cell for cell, value in formulas.items() if not value]:
        message = english("formulas without a stored value: {cells}", cells=_some(empty))
        advice = english("open the workbook in Excel or LibreOffice, and save it")
        yield Problem(place, message, advice)
    if zeros := [] if _is_calculated(book) else _zeros(formulas):
        message = english(
            "formulas that were never computed, with a 0 in each: {cells}", cells=_some(zeros)
        )
        advice = english(
            "open the workbook in Excel, or recalculate it in LibreOffice (Ctrl+Shift+F9), "
            "and save it"
        )
        yield Problem(place, message, advice)


def _is_calculated(book: Any) -> bool:
    """Whether the program that wrote a workbook has computed its formulas.

    Some programs store 0 with each formula, and the order to calculate on load (ECMA-376, part 1,
    18.2.2) or no properties of a calculation. Excel and LibreOffice write these without the order.
    """
    names = [name for name in book._archive.namelist() if name.endswith("workbook.xml")]
    with book._archive.open(names[0]) as part:
        for _, element in iterparse(part):
            if _tag(element) == "calcPr":
                return element.get("fullCalcOnLoad") not in ("1", "true")
    return False


def _merged_and_formulas(sheet: Any, top: int) -> tuple[list[str], dict[str, str]]:
    """Merged cells below a row, and the stored value of each cell with a formula."""
    merged: list[str] = []
    formulas: dict[str, str] = {}
    with sheet._get_source() as source:
        for _, element in iterparse(source):
            kind = _tag(element)
            if kind == "mergeCell" and int(re.findall("[0-9]+", element.get("ref", ""))[-1]) > top:
                merged.append(element.get("ref", ""))
            elif kind == "row":
                formulas |= {
                    cell.get("r", ""): _stored(cell) for cell in element if _computes(cell)
                }
                element.clear()
    return merged, formulas


def _computes(cell: Element) -> bool:
    return any(_tag(one) == "f" for one in cell)


def _stored(cell: Element) -> str:
    """The value of a cell as a number, or with its type; a text is one also if it is empty."""
    value = next((one.text or "" for one in cell if _tag(one) == "v"), "")
    kind = cell.get("t", "n")
    return f"{kind} {value}" if kind == "str" or (value and kind != "n") else value


def _zeros(formulas: Mapping[str, str]) -> list[str]:
    """The formulas of columns in which every one has the value 0."""
    others = {_column(cell) for cell, value in formulas.items() if value != "0"}
    return [cell for cell in formulas if _column(cell) not in others]


def _column(cell: str) -> str:
    return cell.rstrip("0123456789")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _some(cells: Sequence[str]) -> str:
    return ", ".join(cells[:MOST_SHOWN]) + ", ..." * (len(cells) > MOST_SHOWN)
