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
from itertools import islice
from pathlib import Path
from typing import Any, Final

from configs.errors import DataError
from configs.language import english
from tasks.contract.sources import formulas, text_files
from tasks.contract.sources.base import Block, FileSource, Options, Row, Rows, Unreadable
from tasks.contract.sources.json_files import is_unicode

LIBRARY: Final = "openpyxl"
FIRST_ROWS: Final = 6
"""Rows of a sheet that may name its columns."""
ESCAPED: Final = re.compile("(?:_x[0-9A-F]{4}_)+")
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

    has_empty_rows = True

    def __init__(self, path: Path, options: Options | None = None) -> None:
        super().__init__(path, options)
        if find_spec(LIBRARY) is None:
            message = english(
                "expected {library} to read Excel workbooks, found that it is not installed",
                library=LIBRARY,
            )
            raise DataError.at(self.place, message, english("pip install 'onestep[excel]'"))

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
            if declared and not self.options.usual_layout:
                message = english(
                    "expected a sheet {declared!r}, found {names}",
                    declared=declared,
                    names=", ".join(map(repr, names)),
                )
                raise DataError.at(self.place, message, english("set data.sheet to one of them"))
            visible = [one for one in book.worksheets if one.sheet_state == "visible"]
            tables = {one.title: _first_rows(one) for one in visible or book.worksheets}
        full = {name: rows for name, rows in tables.items() if len(rows) > 1}
        if not tables:
            raise DataError.at(self.place, english("expected a sheet with rows, found none"))
        first, *others = map(str, full or tables)
        if len(full) > 1 and any(_are_alike(full[first], full[other]) for other in others):
            message = english(
                "several sheets can be meant: {full}", full=", ".join(map(repr, full))
            )
            choice = " or ".join(f"data.sheet: {json.dumps(o, ensure_ascii=False)}" for o in full)
            raise DataError.at(self.place, message, english("set {choice}", choice=choice))
        return first

    def reading(self) -> dict[str, str]:
        return {"sheet": self.sheet}

    def columns(self) -> list[str]:
        self.place = f"{self.path}, sheet {self.sheet!r}"
        with self._opened() as book:
            header = self._header(_filled(book[self.sheet]))
            top, _ = next(_filled(book[self.sheet]), (1, []))
            problems = list(formulas.unstored(book, self.sheet, top, self.place))
        if problems:
            raise DataError(problems)
        return header

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
                elif not _are_unicode(values):
                    reason = english("half of a surrogate pair")
                    yield Unreadable(number, reason, json.dumps(values, default=str))
                else:
                    missing = [None] * (len(header) - len(values))
                    yield number, dict(zip(header, [*values, *missing], strict=True))

    def find(self, rows: Collection[int]) -> Iterator[tuple[int, int, Row]]:
        """The rows with their numbers in the sheet."""
        with self._lines() as lines:
            header = self._header(lines)
            for number, (line, values) in enumerate(lines, 1):
                if number in rows:
                    yield number, line, dict(zip(header, values, strict=False))

    def _header(self, lines: Iterator[tuple[int, list[Any]]]) -> list[str]:
        where, cells = next(lines, (1, []))
        header = [_name(value) for value in cells]
        unnamed = [str(number) for number, name in enumerate(header, 1) if not name]
        repeated = sorted({name for name in header if header.count(name) > 1})
        if not header:
            raise DataError.at(self.place, english("the sheet is empty"))
        if len(unnamed) > 1:
            message = english(
                "row {where}: columns {unnamed} have no name",
                where=where,
                unnamed=", ".join(unnamed),
            )
            raise DataError.at(self.place, message, english("name them, or delete them"))
        if not _are_unicode(header):
            message = english("half of a surrogate pair")
            raise DataError.at(f"{self.place} row {where}", message, english("rename one"))
        if repeated:
            message = english(
                "row {where} names {repeated} twice", where=where, repeated=", ".join(repeated)
            )
            raise DataError.at(self.place, message, english("rename one"))
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
                raise DataError.at(self.path, message) from None


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


def _first_rows(sheet: Any) -> list[set[str]]:
    """What the first rows with a value may name, without case."""
    lines = islice(_filled(sheet), FIRST_ROWS)
    return [{name.casefold() for one in row if (name := _name(one))} for _, row in lines]


def _are_alike(rows: list[set[str]], others: list[set[str]]) -> bool:
    """Whether another sheet may have rows of the same table, also below a title."""
    header, (first, *later) = rows[0], others
    return len(header) < 2 or bool(header & first) or any(len(header & row) > 1 for row in later)


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
        return ESCAPED.sub(_unescaped, value)
    return str(value) if isinstance(value, time | timedelta) else value


def _unescaped(found: re.Match[str]) -> str:
    """Units of UTF-16 as characters; half of a pair stays one."""
    units = bytes.fromhex(found[0].replace("_x", "").replace("_", ""))
    return units.decode("utf-16-be", "surrogatepass")


def _are_unicode(values: list[Any]) -> bool:
    return all(is_unicode(one) for one in values if isinstance(one, str) and not one.isascii())
