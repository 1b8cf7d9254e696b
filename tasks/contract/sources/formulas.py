"""Cells of a workbook whose values the file does not have: formulas, and merged cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
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
    if formulas.empty:
        message = english("formulas without a stored value: {cells}", cells=_some(formulas.empty))
        advice = english("open the workbook in Excel or LibreOffice, and save it")
        yield Problem(place, message, advice)
    zeros = list(chain.from_iterable(formulas.zeros.values()))
    if zeros and not _is_calculated(book):
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
    with book._archive.open(_workbook_part(book)) as part:
        for _, element in iterparse(part):
            if _tag(element) == "calcPr":
                return element.get("fullCalcOnLoad") not in ("1", "true")
    return False


def _workbook_part(book: Any) -> str:
    """The file in the archive that has the properties of a workbook, whatever it is called."""
    with book._archive.open("_rels/.rels") as relations:
        for _, element in iterparse(relations):
            if element.get("Type", "").endswith("/officeDocument"):
                return element.get("Target", "").lstrip("/")
    raise KeyError("officeDocument")


@dataclass(frozen=True, slots=True)
class _Formulas:
    """The first cells with a formula whose value is missing, or 0 in all of their column."""

    empty: list[str] = field(default_factory=list)
    zeros: dict[str, list[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def add(self, column: str, row: int, value: str) -> None:
        """Count a formula by the stored value of its cell."""
        if value == "0":
            found = [] if column in self.others else self.zeros.setdefault(column, [])
        else:
            self.others.add(column)
            self.zeros.pop(column, None)
            found = [] if value else self.empty
        if len(found) <= MOST_SHOWN:
            found.append(f"{column}{row}")


def _merged_and_formulas(sheet: Any, top: int) -> tuple[list[str], _Formulas]:
    """Merged cells below a row, and the cells with formulas."""
    merged: list[str] = []
    formulas = _Formulas()
    number = 0
    with sheet._get_source() as source:
        for _, element in iterparse(source):
            kind = _tag(element)
            if kind == "mergeCell" and int(re.findall("[0-9]+", element.get("ref", ""))[-1]) > top:
                merged.append(element.get("ref", ""))
            elif kind == "row":
                number = int(element.get("r", number + 1))
                for column, cell in _in_columns(element):
                    if _computes(cell):
                        formulas.add(column, number, _stored(cell))
                element.clear()
    return merged, formulas


def _in_columns(row: Element) -> Iterator[tuple[str, Element]]:
    """The cells of a row, each with its column; one that names none is in the next."""
    from openpyxl.utils import column_index_from_string, get_column_letter

    position = 0
    for cell in row:
        if name := cell.get("r"):
            position = column_index_from_string(name.rstrip("0123456789"))
        else:
            position += 1
        yield get_column_letter(position), cell


def _computes(cell: Element) -> bool:
    return any(_tag(one) == "f" for one in cell)


def _stored(cell: Element) -> str:
    """The value of a cell as a number, or with its type; a text is one also if it is empty."""
    value = next((one.text or "" for one in cell if _tag(one) == "v"), "")
    kind = cell.get("t", "n")
    return f"{kind} {value}" if kind == "str" or (value and kind != "n") else value


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _some(cells: Sequence[str]) -> str:
    return ", ".join(cells[:MOST_SHOWN]) + ", ..." * (len(cells) > MOST_SHOWN)
