"""A sheet of an Excel workbook; the first row that is not empty names the columns."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from configs.errors import DataError, Problem
from configs.language import english
from tasks.contract.sources import text_files
from tasks.contract.sources.base import Block, FileSource, Options, Rows, Unreadable

LIBRARY: Final = "openpyxl"
ESCAPED: Final = re.compile("_x([0-9A-F]{4})_")
"""How a workbook writes characters that XML cannot hold, such as carriage returns."""
DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError),
    *(LookupError, ValueError, TypeError, AttributeError, NotImplementedError),
)
"""What the library raises for a file that is no workbook, or not a whole one."""


class Workbook(FileSource):
    """A sheet of a workbook. Numbers, dates and truth values keep their types.

    A formula counts as the value that Excel stored with it, and an error such as #N/A as no value.
    """

    def __init__(self, path: Path, options: Options | None = None) -> None:
        super().__init__(path, options)
        if find_spec(LIBRARY) is None:
            message = english(
                "expected {library} to read Excel workbooks, found that it is not installed",
                library=LIBRARY,
            )
            raise DataError(Problem(self.place, message, english("pip install 'onestep[excel]'")))

    @cached_property
    def sheet(self) -> str:
        """The sheet that is read: the declared one, or the only one that can be meant.

        Raises:
            DataError: there is no such sheet, or several can be meant.
        """
        with self._opened() as book:
            declared, names = self.options.sheet, book.sheetnames
            if declared in names:
                return str(declared)
            if declared and not self.options.usual:
                message = english(
                    "expected a sheet {declared!r}, found {names}",
                    declared=declared,
                    names=", ".join(map(repr, names)),
                )
                raise DataError(
                    Problem(self.place, message, english("set data.sheet to one of them"))
                )
            visible = [one for one in book.worksheets if one.sheet_state == "visible"]
            tables = {one.title: _first_rows(one) for one in visible or book.worksheets}
        full = {name: header for name, (header, has_rows) in tables.items() if has_rows}
        if not tables:
            raise DataError(Problem(self.place, english("expected a sheet with rows, found none")))
        first, *others = map(str, full or tables)
        if len(full) > 1 and (len(full[first]) < 2 or any(full[first] & full[o] for o in others)):
            message = english(
                "several sheets can be meant: {full}", full=", ".join(map(repr, full))
            )
            choice = " or ".join(f"data.sheet: {json.dumps(o, ensure_ascii=False)}" for o in full)
            raise DataError(Problem(self.place, message, english("set {choice}", choice=choice)))
        return first

    def reading(self) -> dict[str, str]:
        return {"sheet": self.sheet}

    def columns(self) -> list[str]:
        self.place = f"{self.path}, sheet {self.sheet!r}"
        with self._lines() as lines:
            return self._header(lines)

    def rows(self, block: Block | None = None) -> Rows:
        """Each row with a value; one with values outside of the named columns cannot be read."""
        with self._lines() as lines:
            header = self._header(lines)
            for number, (_, values) in enumerate(lines, 1):
                if len(values) > len(header):
                    reason = english(
                        "expected {header} cells, found {values}",
                        header=len(header),
                        values=len(values),
                    )
                    yield Unreadable(number, reason, json.dumps(values, default=str))
                else:
                    missing = [None] * (len(header) - len(values))
                    yield number, dict(zip(header, [*values, *missing], strict=True))

    def lines(self, rows: Collection[int]) -> dict[int, int]:
        """The number of each row in the sheet."""
        with self._lines() as lines:
            self._header(lines)
            return {number: line for number, (line, _) in enumerate(lines, 1) if number in rows}

    def _header(self, lines: Iterator[tuple[int, list[Any]]]) -> list[str]:
        where, cells = next(lines, (1, []))
        header = [_name(value) for value in cells]
        unnamed = [str(number) for number, name in enumerate(header, 1) if not name]
        repeated = sorted({name for name in header if header.count(name) > 1})
        if not header:
            raise DataError(Problem(self.place, english("the sheet is empty")))
        if len(unnamed) > 1:
            message = english(
                "row {where}: columns {unnamed} have no name",
                where=where,
                unnamed=", ".join(unnamed),
            )
            raise DataError(Problem(self.place, message, english("name them, or delete them")))
        if repeated:
            message = english(
                "row {where} names {repeated} twice", where=where, repeated=", ".join(repeated)
            )
            raise DataError(Problem(self.place, message, english("rename one")))
        return header

    @contextmanager
    def _lines(self) -> Iterator[Iterator[tuple[int, list[Any]]]]:
        with self._opened() as book:
            yield _filled(book[self.sheet])

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        from openpyxl import load_workbook

        with text_files.binary(self.path) as stream:
            content = io.BytesIO(stream.read()) if text_files.is_zipped(self.path) else stream
            try:
                with warnings.catch_warnings():
                    # Of styles and other parts that are not read.
                    warnings.simplefilter("ignore")
                    yield load_workbook(content, read_only=True, data_only=True)
            except DAMAGED:
                message = english(
                    "not an Excel workbook (.xlsx), cut off, or protected by a password"
                )
                raise DataError(Problem(str(self.path), message)) from None


def _filled(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Rows with a value: their number in the sheet, and the values up to the last one."""
    # The size that some programs write is wrong.
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), 1):
        values = [_value(cell) for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if values:
            yield number, values


def _first_rows(sheet: Any) -> tuple[set[str], bool]:
    """The names of the columns, and whether a row follows."""
    lines = _filled(sheet)
    _, header = next(lines, (0, []))
    return {name for value in header if (name := _name(value))}, next(lines, None) is not None


def _name(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _value(cell: Any) -> Any:
    """A value without what only Excel has: whole numbers are integers, and midnight is a date."""
    value = cell.value
    if cell.data_type == "e" or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date()
    if isinstance(value, str):
        return ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    return str(value) if isinstance(value, time | timedelta) else value
