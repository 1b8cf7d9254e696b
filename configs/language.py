"""Messages in the reader's language: English, or Chinese from the catalogue.

``locale/zh_CN/LC_MESSAGES/onestep.po`` has the translations; ``python -m tests.docs`` adds new
messages to it and compiles it. Keys, names and whatever code compares or stores stay English.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Final

ENGLISH: Final = "en"
CHINESE: Final = "zh_CN"
VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
TAGS: Final = {"zh": CHINESE, "zh_cn": CHINESE, "zh_hans": CHINESE, "zh_hans_cn": CHINESE}
FOLDER: Final = Path(__file__).parent / "locale"
STORED: Final = "stored"
"""Context of the messages of :func:`english` in the catalogue."""
PLACEHOLDER: Final = re.compile(r"\{(\w[\w.\[\]]*)(?:![rs])?(?::([^{}]*))?\}")
TOKEN: Final = re.compile(r"\{\{|\}\}|" + PLACEHOLDER.pattern)
"""A placeholder, or a brace that is written twice."""
PHRASES: Final = frozenset(("baseline", "found", "last", "more", "other", "share", "side", "slice"))
SENTENCES: Final = frozenset(
    ("advice", "expected", "message", "note", "reason", "said", "ways", "why", "words")
)
"""Placeholders whose values are messages; other values are data, and stay as they are."""
NUMBER: Final = r"[-+\d.,:%e ]*[\d%]|-?inf|nan"
"""What a format makes of a number or a date."""
QUOTED: Final = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")(?!\w)""")
"""A value in quotation marks, which is nobody's message."""
BETWEEN_MARKS: Final = "(?:(?![;:] ).)*?"
"""Data that a message itself puts in quotation marks."""
DATA: Final = rf"(?>{QUOTED.pattern}|(?![;:] ).)*?"
PHRASE: Final = rf"(?>{QUOTED.pattern}|(?!; |\) \().)*?"
SENTENCE: Final = rf"(?>{QUOTED.pattern}|(?!\) \().)*?"
"""Data and messages within a message, up to where the next one may begin."""
SHORT: Final = 9
"""Messages with fewer letters of their own are tried last: they may fit into others."""
ADVISED: Final = re.compile(r"(.+) \((.+)\)", re.DOTALL)


def language() -> str:
    """``zh_CN`` or ``en``: what the first variable that is set names, in gettext's order."""
    wanted = next(filter(None, map(os.environ.get, VARIABLES)), ENGLISH)
    tags = [re.split("[.@]", tag)[0].replace("-", "_").lower() for tag in wanted.split(":")]
    # Languages without a catalogue are skipped; English and the locale C have none to look for.
    known = [TAGS.get(tag, ENGLISH) for tag in tags if tag in TAGS or tag[:2] in ("en", "c", "po")]
    return known[0] if known else ENGLISH


def _(message: str, /, **values: object) -> str:
    """A message in the reader's language, with values for its ``{placeholders}``."""
    text = _catalogue(language()).gettext(message)
    return text.format(**values) if values else text


def words(*messages: str) -> list[str]:
    """Messages without values, such as the heads of a table; an empty one stays empty."""
    return [message and _(message) for message in messages]


def english(message: str, /, **values: object) -> str:
    """A message that is stored or compared, and so is English; :func:`translated` shows it."""
    return message.format(**values) if values else message


def translated(stored: str) -> str:
    """A text of :func:`english` in the reader's language, by the message that it was made from.

    A text that no message makes stays as it is.
    """
    return stored if language() == ENGLISH or not stored else _in_chinese(stored)


@lru_cache(maxsize=10_000)
def _in_chinese(stored: str) -> str:
    if (fixed := _stored(stored)) != stored:
        return fixed
    long, short = _forms()
    if advised := ADVISED.fullmatch(stored):
        what, advice = advised.groups()
        own = what.partition(": ")[2] or what
        is_message = translated(own) != own or _found(what, long) is not None
        # Otherwise the parentheses belong to the message.
        if is_message and translated(advice) != advice:
            return f"{translated(what)} ({translated(advice)})"
    return _found(stored, long) or _in_parts(stored) or _found(stored, short) or stored


def _stored(message: str) -> str:
    return _catalogue(language()).pgettext(STORED, message)


def _in_parts(stored: str) -> str | None:
    """Several messages after one another, or a message with its place and its advice."""
    where, colon, what = _divided(stored, ": ")
    if colon and where.count(" ") <= 2 and SEPARATORS[0] not in where:
        # A place is a key, such as `data`, unless it has several words.
        place = translated(where) if " " in where else where
        return f"{place}: {translated(what)}"
    if advised := ADVISED.fullmatch(stored):
        return f"{translated(advised[1])} ({translated(advised[2])})"
    for separator in SEPARATORS:
        first, found, rest = _divided(stored, separator)
        if found:
            left, right = translated(first), translated(rest)
            # Otherwise it may belong to a value; before a message, one word is what it is about.
            is_ours = right != rest and (left != first or " " not in first)
            return left + (_stored(separator) if is_ours else separator) + right
    return None


def _divided(stored: str, separator: str) -> tuple[str, str, str]:
    """A text before and after the first separator outside of quotation marks."""
    masked = QUOTED.sub(lambda value: "_" * len(value[0]), stored)
    at = masked.find(separator)
    return (stored, "", "") if at < 0 else (stored[:at], separator, stored[at + len(separator) :])


Form = tuple[re.Pattern[str], list[str], str]


def _found(stored: str, forms: list[Form]) -> str | None:
    for form, places, message in forms:
        if found := form.fullmatch(stored):
            return _filled(_stored(message), dict(zip(places, found.groups(), strict=True)))
    return None


def _filled(text: str, values: Mapping[str, str]) -> str:
    """A translation with the values of a stored text in its places."""

    def fill(place: re.Match[str]) -> str:
        if place[1] is None:
            return place[0][0]
        value = values[place[1]]
        return translated(value) if place[1] in PHRASES | SENTENCES else value

    return TOKEN.sub(fill, text)


@lru_cache
def _catalogue(name: str) -> NullTranslations:
    return translation("onestep", FOLDER, [name], fallback=True)


@lru_cache
def _forms() -> tuple[list[Form], list[Form]]:
    """What each message with placeholders makes, the longest first; and the short ones."""
    known: Mapping[str, str] = getattr(_catalogue(CHINESE), "_catalog", {})
    stored = [key.split("\x04")[1] for key in known if key.startswith(f"{STORED}\x04")]
    # A number fits into fewer texts than other values.
    own = {message: len(PLACEHOLDER.sub(_weight, message)) for message in stored}
    messages = sorted(filter(PLACEHOLDER.search, stored), key=lambda message: -own[message])
    long = [_form(message) for message in messages if own[message] >= SHORT]
    return long, [_form(message) for message in messages if own[message] < SHORT]


def _value(name: str) -> str:
    if name in SENTENCES:
        return SENTENCE
    return PHRASE if name in PHRASES else DATA


def _weight(place: re.Match[str]) -> str:
    return "number" if place[2] else ""


def _form(message: str) -> Form:
    pattern, end = "", 0
    places: dict[str, int] = {}
    for place in TOKEN.finditer(message):
        name, kind = place[1], place[2]
        pattern += re.escape(message[end : place.start()])
        if name is None:
            pattern += re.escape(place[0][0])
        elif name in places:
            pattern += f"\\{places[name]}"
        else:
            places[name] = len(places) + 1
            marked = message[place.end() :][:1] in ("'", '"')
            pattern += f"({NUMBER if kind else BETWEEN_MARKS if marked else _value(name)})"
        end = place.end()
    return re.compile(pattern + re.escape(message[end:]), re.DOTALL), list(places), message


SEPARATORS: Final = (english("; "), english(": "))
"""What stands between the messages of one text."""
