"""Values that no single row shows to be misread: columns of numbers, targets with two readings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Pipeline, Window
from tasks.applications import registry as applications
from tasks.contract.rows import dates
from tasks.contract.rows.layout import Layout
from tasks.contract.rules.cells import is_blank, is_number

if TYPE_CHECKING:
    import pandas as pd

    from tasks.contract.passes.row_checks import PartResult

MOST_READINGS: Final = 10_000
"""Distinct target values that are kept of a part."""


@dataclass
class Values:
    """What the rows of a file hold.

    Attributes:
        numeric: of each text column with values, whether all of them are numbers.
        readings: target values that may have two readings, each once.
        moments: rows with a value in the window's column.
        undated: some of these values that are no date, and how many there are.
        sample: the first of these values.
        forms: the first row with a real date, and with a text that may be one.
    """

    numeric: dict[str, bool] = field(default_factory=dict)
    readings: dict[str, Any] = field(default_factory=dict)
    moments: int = 0
    undated: list[Any] = field(default_factory=list)
    undated_count: int = 0
    sample: list[Any] = field(default_factory=list)
    forms: dict[str, int] = field(default_factory=dict)

    def add(self, frame: pd.DataFrame, texts: Iterable[str], readings: Iterable[Any]) -> None:
        """Take the values of a batch."""
        for column in texts:
            if self.numeric.get(column, True):
                # A blank cell of delimited text is an empty string.
                held = (value for value in frame[column].dropna() if not is_blank(value))
                for first in islice(held, 1):
                    self.numeric[column] = is_number(first) and all(map(is_number, held))
        for value in readings:
            key = value if isinstance(value, str) else f"\0{value!r}"
            if key not in self.readings and len(self.readings) < MOST_READINGS:
                self.readings[key] = value

    def add_moments(self, values: Mapping[int, Any], undated: Collection[int]) -> None:
        """Take the values of the window's column by row; those of some rows are no dates."""
        others = [values[row] for row in undated]
        self.moments += len(values)
        self.undated_count += len(others)
        self.undated += others[: dates.SAMPLE - len(self.undated)]
        self.sample += islice(values.values(), dates.SAMPLE - len(self.sample))
        for row, value in values.items():
            self.forms.setdefault(dates.form_of(value), row)

    def merge(self, other: Values) -> None:
        """Take the values of another part of the file."""
        for column, numeric in other.numeric.items():
            self.numeric[column] = numeric and self.numeric.get(column, True)
        self.readings = other.readings | self.readings
        self.moments += other.moments
        self.undated += other.undated
        self.undated_count += other.undated_count
        self.sample += other.sample[: dates.SAMPLE - len(self.sample)]
        self.forms = other.forms | self.forms


def require_one_reading(config: Pipeline, layout: Layout, parts: Sequence[PartResult]) -> None:
    """Refuse text columns that hold only numbers, and targets that can be read in two ways.

    No row decides by its place: all rows of a file are looked at together.

    Raises:
        DataError: with those of every file.
    """
    files: dict[str, Values] = {}
    for part in parts:
        files.setdefault(part.task.part.file, Values()).merge(part.values)
    problems = [
        problem
        for file, values in files.items()
        for problem in (
            *_numbers(file, values, layout),
            *_forms(file, values, config.data.window),
            *_ambiguities(config, file, values, layout),
        )
    ]
    together = Values()
    for values in files.values():
        together.merge(values)
    problems += _dates(config, together)
    if problems:
        raise DataError(problems)


def _dates(config: Pipeline, values: Values) -> Iterator[Problem]:
    """Ask where the values of the window's column are dates in another form."""
    window = config.data.window
    if window.format is not None:
        return
    asked = dates.question_of_months(values.sample, window)
    if not asked and values.undated_count * 2 > values.moments:
        asked = dates.question(values.undated, window)
    if asked:
        yield asked


def _forms(file: str, values: Values, window: Window) -> Iterator[Problem]:
    """Refuse real dates beside texts: Excel turns into dates what it can, days as months too."""
    dated, written = values.forms.get(dates.DATE), values.forms.get(dates.TEXT)
    if dated and written:
        message = english(
            "row {dated:d} has a date, and row {written:d} a text", dated=dated, written=written
        )
        advice = english(
            "write all of them as dates, or all as texts; Excel may have swapped days and months"
        )
        yield Problem(f"{file} column {window.column!r}", message, advice)


def _numbers(file: str, values: Values, layout: Layout) -> Iterator[Problem]:
    for column, numeric in values.numeric.items():
        if numeric:
            own = layout.mapping.get(column, column)
            message = english("expected text in column {column!r}, found only numbers", column=own)
            setting = f"data.columns.{column}"
            advice = english("name the column with the text in {setting}", setting=setting)
            yield Problem(file, message, advice)


def _ambiguities(config: Pipeline, file: str, values: Values, layout: Layout) -> Iterator[Problem]:
    rows = applications.get(config.application).rows
    target = next((c.name for c in rows.columns(config.data) if c.kind == "target"), "")
    where = f"{file} column {layout.mapping.get(target, target)!r}"
    for message, advice in rows.ambiguities(values.readings.values(), config.data, layout.names):
        yield Problem(where, message, advice)
