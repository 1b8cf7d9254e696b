"""Rows with their predictions, as CSV, JSON Lines or a workbook that every reader takes back."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from configs.errors import DataError
from configs.language import _, english, translated
from flows.models import spreadsheets
from flows.models.reading import Numbered, Row, Words
from flows.models.spreadsheets import Sheet
from tasks.contract.rows.layout import quote_names
from tasks.contract.sources.base import Unreadable
from tasks.contract.sources.separators import NAMES

PROBABILITIES: Final = "probabilities"
OTHERS: Final = NAMES.keys() - {","}
"""Separators that a reader may detect besides the comma."""
AS_JSON: Final = english("write JSON Lines instead: --to jsonl")


def prediction_names(
    outputs: Sequence[str], columns: Collection[str], probabilities: bool, where: str
) -> dict[str, str]:
    """The column of each output: its name, with ``predicted_`` before it if the rows have that.

    Raises:
        DataError: the model gives no probabilities.
    """
    if probabilities and PROBABILITIES not in outputs:
        message = _("this model gives no probabilities, only {outputs}", outputs=", ".join(outputs))
        raise DataError.at(where, message, _("leave it out"))
    names: dict[str, str] = {}
    for output in outputs:
        if output != PROBABILITIES or probabilities:
            name = output
            while name in columns or name in names.values():
                name = f"predicted_{name}"
            names[output] = name
    return names


def merged(rows: Iterable[Row], answers: Iterable[Row], names: Mapping[str, str]) -> Iterator[Row]:
    """Each row with its answer under the given names."""
    for row, answer in zip(rows, answers, strict=True):
        yield row | {name: answer[output] for output, name in names.items()}


@dataclass(frozen=True)
class Output:
    """Formats rows as ``csv``, ``jsonl`` or ``xlsx``."""

    kind: str
    columns: Sequence[str]

    def checked(self, rows: Iterable[Numbered], words: Words) -> Iterator[Numbered]:
        """Pass rows on, and refuse what the format cannot hold.

        Raises:
            DataError: naming the row and the column.
        """
        for item in rows:
            if self.kind != "jsonl" and not isinstance(item, Unreadable):
                for name, value in item[1].items():
                    if message := self._too_much(item[0], name, value):
                        raise DataError.at(words.row(item[0]), message, translated(AS_JSON))
            yield item

    def _too_much(self, number: int, name: str, value: Any) -> str:
        """Why a value cannot be written."""
        if self.kind == "csv":
            found = isinstance(value, str) and "\0" in value
            words = _("column {name!r} has a zero byte, which CSV cannot hold", name=name)
            return words if found else ""
        if number > spreadsheets.MOST_ROWS:
            return _("a sheet holds {most:,} rows", most=spreadsheets.MOST_ROWS)
        text = _cell(plain(value))
        if isinstance(text, str) and len(spreadsheets.escaped(text)) > spreadsheets.LONGEST:
            most = spreadsheets.LONGEST
            return _(
                "column {name!r} has a text of more than {most:,} characters, which Excel cannot "
                "hold",
                name=name,
                most=most,
            )
        return ""

    @cached_property
    def _sheet(self) -> Sheet:
        return Sheet(self.columns)

    def start(self) -> str:
        """What comes before the rows: in CSV the column names.

        Raises:
            DataError: a reader of CSV would take two of them for one.
        """
        if self.kind == "jsonl":
            return ""
        stripped = [name.strip() for name in self.columns]
        if same := sorted({name for name in stripped if stripped.count(name) > 1}):
            message = _(
                "{kind} cannot tell columns apart that differ in spaces: {same}",
                kind="CSV" if self.kind == "csv" else "Excel",
                same=quote_names(same),
            )
            raise DataError.at(f"--to {self.kind}", message, translated(AS_JSON))
        if self.kind == "xlsx":
            return ""
        # Else a name could be divided by another separator.
        return _csv_line(self.columns, csv.QUOTE_ALL if OTHERS & set("".join(stripped)) else None)

    def lines(self, rows: Iterable[Row]) -> str:
        """Rows. JSON has no NaN and no infinity, which are null; CSV has lists as JSON."""
        if self.kind == "jsonl":
            return "".join(_json(plain(row)) + "\n" for row in rows)
        if self.kind == "xlsx":
            self._sheet.append([_excel(row.get(name)) for name in self.columns] for row in rows)
            return ""
        return "".join(
            _csv_line([_cell(plain(row.get(name))) for name in self.columns]) for row in rows
        )

    def finish(self) -> str | bytes:
        """What comes after the rows: a workbook, which is made as a whole."""
        return self._sheet.finish() if self.kind == "xlsx" else ""


def _excel(value: Any) -> Any:
    return value if spreadsheets.is_date(value) else _cell(plain(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _cell(value: Any) -> Any:
    return _json(value) if isinstance(value, list | dict) else value


def _csv_line(cells: Sequence[Any], quoting: int | None = None) -> str:
    buffer = io.StringIO()
    # With this line ending, the writer quotes a carriage return as well as a line feed.
    how: Any = quoting or csv.QUOTE_MINIMAL
    csv.writer(buffer, lineterminator="\r\n", quoting=how).writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return _text_of(value) if isinstance(value, bytes) else str(value)


def _text_of(value: bytes) -> str:
    """Bytes as UTF-8 text, or in base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
