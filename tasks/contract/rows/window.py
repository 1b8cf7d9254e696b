"""The window of the latest training rows.

The moment of a row is a number: seconds since 1970 for a date, or the number in the column.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from configs.errors import DataError
from configs.language import english
from configs.schema import Window
from tasks.applications.base import Reasons
from tasks.contract.rows import dates
from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rules.cells import is_blank
from tasks.contract.sources.splits import SPLITS

DATE, NUMBER = "dates", "numbers"


def read(values: pd.Series[Any], window: Window) -> tuple[NDArray[np.float64], Reasons, set[str]]:
    """Read the column of the window, which has only dates if the window is in days.

    Returns:
        The moment of each row, NaN if it has none; broken rules by row index; and the kinds of
        values, dates or numbers.
    """
    moments = np.full(len(values), np.nan)
    reasons: Reasons = {}
    kinds: set[str] = set()
    wanted = english("expected a date in ISO 8601 or a number")
    if window.format:
        example = dates.example_of(window.format)
        wanted = english("expected a date such as {example}", example=example)
    elif window.days:
        wanted = english("expected a date in ISO 8601")
    for place, (index, absent) in enumerate(zip(values.index, values.isna(), strict=True)):
        value = values.iat[place]
        if absent or is_blank(value):
            missing = english("the value is missing")
            reasons[int(index)] = [("missing", f"{window.column}: {missing}")]
            continue
        moment, kind = _moment(value, window)
        if not math.isfinite(moment):
            reasons[int(index)] = [("wrong_type", f"{window.column}: {wanted}")]
            continue
        moments[place] = moment
        kinds.add(kind)
    return moments, reasons, kinds


def _moment(value: Any, window: Window) -> tuple[float, str]:
    """A date or number as a number, and which it is; not finite for another value."""
    if window.format:
        return dates.moment_of(value, window.format), DATE
    if isinstance(value, date):
        return dates.seconds_of(value), DATE
    if window.days is None and not isinstance(value, bool):
        try:
            return float(value), NUMBER
        except (TypeError, ValueError, OverflowError):
            pass
    try:
        return dates.seconds_of(datetime.fromisoformat(value.strip())), DATE
    except (AttributeError, ValueError, OverflowError):
        return math.nan, ""


def outside(
    rows: Catalogue, kept: NDArray[np.bool_], window: Window, kinds: set[str]
) -> NDArray[np.int64]:
    """Positions of the kept training rows that are not among the latest.

    With a column, rows of the same moment are ordered by content, whatever order they came in.

    Raises:
        DataError: some values of the column are dates and others are numbers.
    """
    if len(kinds) > 1:
        message = english(
            "expected dates or numbers in column {column!r}, found both", column=window.column
        )
        raise DataError.at("data.window.column", message, english("write all of them in one way"))
    train: NDArray[np.int64] = np.flatnonzero(kept & (rows.split == SPLITS.index("train")))
    if window.days is not None:
        moments = rows.moment[train]
        old = moments <= moments.max(initial=-np.inf) - window.days * dates.DAY
        return np.compress(old, train)
    if window.rows is None:
        return train[:0]
    if window.column:
        group = (rows.group[train],) if len(rows.group) else ()
        train = train[np.lexsort((*group, rows.content[train], rows.moment[train]))]
    return train[: -window.rows]
