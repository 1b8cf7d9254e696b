"""Common parts of the HTML pages: templates and number formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.language import _, english, language, translated

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

LONGEST_TEXT = 300
UNIT_BYTES = 1024.0
WAYS = {"estimated": english("estimated"), "measured": english("measured")}
PARTS = {"cpu": english("processor"), "gpu": "GPU", "ram": english("memory")}
UNSEEN = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"}
UNSEEN |= dict.fromkeys([*range(0x7F, 0xA0), *range(0xD800, 0xE000)], 0xFFFD)
"""Control characters, which a terminal obeys, and lone surrogates, which UTF-8 forbids."""


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """Load a template by its path below ``tasks``; values are text, never markup.

    ``filters`` are available besides those that all templates have.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common = {"clipped": _clipped, "coded": _coded, "counted": counted, "moment": _moment}
    common |= {"bdi": _bdi, "code": _code, "time": _time, "translated": translated}
    environment.globals |= {"_": _message, "language": language}
    environment.filters |= {**common, "number": number, "of": percent, **filters}
    return environment.get_template(name)


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def visible(text: str) -> str:
    """Replace control characters; what a template itself made stays marked as safe."""
    return text.translate(UNSEEN)


def _message(message: str, /, **values: object) -> Markup:
    """A message in the reader's language; values are text or markup."""
    from markupsafe import Markup

    return Markup(_(message)).format(**values)


def _bdi(text: object) -> Markup:
    from markupsafe import Markup

    return Markup("<bdi>{}</bdi>").format(text)


def _code(text: object) -> Markup:
    from markupsafe import Markup

    return Markup("<code>{}</code>").format(text)


def _time(value: object) -> Markup:
    from markupsafe import Markup

    return Markup('<time datetime="{}">{}</time>').format(value, _moment(value))


def _clipped(text: object) -> str:
    shown = str(text)
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]}…"


def _coded(text: str) -> Markup:
    """Text with what is between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    parts[1::2] = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup("").join(parts)


def number(value: Any) -> str:
    """Write a number for people: thousands separators, three significant digits of a fraction."""
    if not isinstance(value, int | float):
        return "" if value is None else str(value)
    if not isfinite(value):
        return "–"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def figure(value: Any) -> str:
    """A metric with four digits after the point; a dash where there is none."""
    if not isinstance(value, int | float) or not isfinite(value):
        return "–"
    return f"{value:.4f}"


NOUNS = {
    "example": (english("example"), english("examples")),
    "label": (english("label"), english("labels")),
    "measure": (english("measure"), english("measures")),
    "mistake": (english("mistake"), english("mistakes")),
    "row": (english("row"), english("rows")),
    "run": (english("run"), english("runs")),
    "suspect": (english("suspect"), english("suspects")),
}
"""What is counted: one, and several."""


def counted(count: Any, noun: str) -> str:
    """A count and what is counted."""
    return f"{number(count)} {translated(NOUNS[noun][count != 1])}"


def percent(part: Any, whole: Any = 1) -> str:
    """Write a share in percent, never rounded to none or to all; empty if there is no whole."""
    if not isinstance(part, int | float) or not whole or not 0 <= part <= whole:
        return ""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.0f}%" if share in {0, 100} else f"{share:.1f}%"


def _moment(value: Any) -> str:
    """Write an ISO 8601 time to the minute, in UTC; anything else as it is."""
    try:
        moment = datetime.fromisoformat(str(value))
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else str(value)
    except (ValueError, OverflowError):
        return str(value)


def duration(seconds: float) -> str:
    """Seconds for people: ``4.2 s``, ``3:07``, ``2:05:00``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """Bytes for people, in powers of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < UNIT_BYTES:
            return f"{count:.0f} {unit}"
        count /= UNIT_BYTES
    return f"{count:.2f} GiB"


def energy(used: Mapping[str, Any]) -> str:
    """The energy of a training and how it was found: ``12 Wh, estimated``."""
    return _("{energy}, {how}", energy=watt_hours(used["wh"]), how=found(used["how"]))


def watt_hours(count: float) -> str:
    """An energy for people."""
    return f"{count / 1000:.3g} kWh" if count >= 1000 else f"{count:.3g} Wh"


def found(how: Mapping[str, str]) -> str:
    """The method by which the energy of each part of the machine was found."""
    ways = {way: [PARTS[part] for part in how if how[part] == way] for way in sorted(how.values())}
    if len(ways) == 1:
        return translated(next(iter(ways)))
    named = {way: _(" and ").join(map(translated, parts)) for way, parts in ways.items()}
    return ", ".join(f"{parts} {translated(way)}" for way, parts in named.items())
