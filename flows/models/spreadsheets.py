"""Rows as an Excel workbook that Excel, and the reader of training data, take back as they are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from importlib.util import find_spec
from typing import Any, Final

from configs.errors import DataError
from configs.language import _, english
from tasks.contract.sources.workbooks import LIBRARY

LONGEST: Final = 32_767
"""Most characters of a cell."""
MOST_ROWS: Final = 1_048_575
"""Most rows of a sheet below the header."""
MOST_DIGITS: Final = 10**15
"""Excel changes the last digits of numbers from here on."""
FIRST_YEAR: Final = 1901
"""Excel's calendar has a day too many in 1900."""
NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-F]{4}_)")


def require_library() -> None:
    """Refuse to write a workbook without the library.

    Raises:
        DataError: it is not installed.
    """
    if find_spec(LIBRARY) is None:
        message = _(
            "expected {library} to write Excel workbooks, found that it is not installed",
            library=LIBRARY,
        )
        raise DataError.at("--to xlsx", message, english("pip install 'onestep[excel]'"))


def escaped(text: str) -> str:
    """A text with what XML cannot hold as Excel writes it."""
    return NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def is_date(value: Any) -> bool:
    """Whether a value is a date that Excel knows."""
    return isinstance(value, date) and value.year >= FIRST_YEAR and not _zone(value)


def _zone(value: date) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


class Sheet:
    """A workbook of one sheet, whose rows wait in a file of the library until it is finished."""

    def __init__(self, columns: Sequence[str]) -> None:
        from openpyxl import Workbook

        self._columns = columns
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet()
        self._sheet.append([self._cell(name) for name in columns])

    def append(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows with a plain value for each column."""
        for values in rows:
            self._sheet.append([self._cell(value) for value in values])

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        if isinstance(value, int) and abs(value) >= MOST_DIGITS:
            value = str(value)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        cell = WriteOnlyCell(self._sheet, escaped(value))
        # Else a text such as "=1+1" would be a formula, and "#N/A" an error.
        cell.data_type = "s"
        return cell

    def finish(self) -> bytes:
        """The workbook."""
        content = io.BytesIO()
        self._book.save(content)
        return content.getvalue()
