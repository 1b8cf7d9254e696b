"""Dates as people write them: in a format, as day numbers of Excel, or as seconds since 1970."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any, Final

from configs.errors import Problem
from configs.language import english
from configs.schema import DATE_NUMBERS, Window

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = 86_400.0
EXCEL_EPOCH: Final = 25_569
"""The day number of 1970-01-01."""
SAMPLE: Final = 1000
"""Values that show how dates are written."""
EXAMPLE: Final = datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
UNCLEAR: Final = datetime(2026, 2, 1, 18, 30, tzinfo=UTC)
ORDERS: Final = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%Y{0}%m{0}%d")
SHORT_ORDERS: Final = ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")
TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DAYS: Final = (
    *(order.format(mark) for order in (*ORDERS, *SHORT_ORDERS) for mark in "./-"),
    *("%Y年%m月%d日", "%Y%m%d", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
FORMATS: Final = tuple(day + hours for day in DAYS for hours in TIMES)
"""What is looked for where a column has no dates in ISO 8601."""
RANGES: Final = {"excel": (20_000, 80_000), "unix": (1e8, 1e11), "unix_ms": (1e11, 1e14)}
"""Numbers that are dates of about this century; Excel's own range is longer."""
LAST_SERIAL: Final = 2_958_466
MONTHS: Final = {
    "%m.%Y": re.compile(r"(0?[1-9]|1[0-2])\.(19|20)\d\d"),
    "%Y.%m": re.compile(r"(19|20)\d\d\.(0?[1-9]|1[0-2])"),
}
"""Months that are numbers too, which have another order."""
DATE, TEXT = "date", "text"


def seconds_of(moment: date) -> float:
    """A date or a moment, in UTC unless it has a zone, as seconds since 1970."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH).total_seconds()


def moment_of(value: Any, written: str) -> float:
    """A value in a format as seconds since 1970; not finite if it is not in it."""
    if isinstance(value, date):
        return seconds_of(value)
    if isinstance(value, bool):
        return math.nan
    return _parsed(str(value).strip(), written)


@lru_cache(maxsize=100_000)
def _parsed(text: str, written: str) -> float:
    try:
        if written in DATE_NUMBERS:
            return _counted(float(text), written)
        return seconds_of(datetime.strptime(text, written))
    except (ValueError, OverflowError):
        return math.nan


def _counted(number: float, written: str) -> float:
    """A number of days or seconds as seconds since 1970."""
    if written == "excel":
        return (number - EXCEL_EPOCH) * DAY if 1 <= number < LAST_SERIAL else math.nan
    low, high = RANGES[written]
    inside = low <= number < high
    return number / (1000 if written == "unix_ms" else 1) if inside else math.nan


def example_of(written: str, moment: datetime = EXAMPLE) -> str:
    """A date in a format."""
    days = seconds_of(moment) / DAY
    numbers = {"excel": days + EXCEL_EPOCH, "unix": days * DAY, "unix_ms": days * DAY * 1000}
    return f"{numbers[written]:.0f}" if written in numbers else moment.strftime(written)


def form_of(value: Any) -> str:
    """Whether a value is a real date, or a text that may be one; else empty."""
    if isinstance(value, date):
        return DATE
    return TEXT if isinstance(value, str) and re.search(r"\d", value) else ""


def question_of_months(values: Sequence[Any], window: Window) -> Problem | None:
    """What to ask about numbers that may be months."""
    for written, months in MONTHS.items():
        if values and all(months.fullmatch(str(value).strip()) for value in values):
            choice = f"data.window.format: {json.dumps(written)}"
            message = english(
                "its numbers may be months, such as {example}", example=example_of(written)
            )
            advice = english("set {choice}", choice=choice)
            return Problem(f"column {window.column!r}", message, advice)
    return None


def question(values: Sequence[Any], window: Window) -> Problem | None:
    """What to ask about values that are no dates in ISO 8601, if they are dates in another form."""
    found = _fitting(values)
    if not found:
        return None
    choice = " or ".join(f"data.window.format: {json.dumps(o, ensure_ascii=False)}" for o in found)
    if len(found) == 1:
        message = english(
            "expected dates in ISO 8601, found dates such as {example}",
            example=example_of(found[0]),
        )
    else:
        readings = ", ".join(f"{UNCLEAR:%Y-%m-%d} as {example_of(o, UNCLEAR)}" for o in found)
        message = english("its dates can be read in several ways: {readings}", readings=readings)
    return Problem(f"column {window.column!r}", message, english("set {choice}", choice=choice))


def _fitting(values: Sequence[Any]) -> list[str]:
    """Formats that nearly all values are in, of which each reads other dates."""
    found: dict[tuple[float, ...], str] = {}
    for written in (*RANGES, *FORMATS):
        if moments := _readings(values, written):
            found.setdefault(moments, written)
    return list(found.values())


def _readings(values: Sequence[Any], written: str) -> tuple[float, ...]:
    """The dates of values in a format, -1 for one that is in another; empty if these are many."""
    found: list[float] = []
    for value in values:
        moment = moment_of(value, written)
        is_read = math.isfinite(moment) and _is_likely(value, written)
        found.append(moment if is_read else -1)
        if found.count(-1) > len(values) // 10:
            return ()
    return tuple(found)


def _is_likely(value: Any, written: str) -> bool:
    """Whether a number is a date of about this century."""
    low, high = RANGES.get(written, (-math.inf, math.inf))
    return written not in RANGES or low <= float(value) < high
