"""Messages in the reader's language: English, or Chinese from the catalogue.

``locale/zh_CN/LC_MESSAGES/onestep.po`` has the translations; ``python -m tests.docs`` adds new
messages to it and compiles it. Keys, names and whatever code compares stay English.
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
PLACEHOLDER: Final = re.compile(r"\{(\w[\w.\[\]]*)(?:![rs])?(?::([^{}]*))?\}")
NESTED: Final = frozenset(
    ("advice", "expected", "last", "message", "note", "reason", "said", "ways", "why", "words")
)
"""Placeholders whose values are messages; other values are data, and stay as they are."""
ADVISED: Final = re.compile(r"(.+) \((.+)\)", re.DOTALL)
NUMBER: Final = r"[-+\d.,:%e ]+|-?inf|nan"
"""What a format makes of a number or a date."""


def language() -> str:
    """``zh_CN`` or ``en``: what the first variable that is set names, in gettext's order."""
    wanted = next(filter(None, map(os.environ.get, VARIABLES)), ENGLISH)
    tags = [re.split("[.@]", tag)[0].replace("-", "_").lower() for tag in wanted.split(":")]
    # Others that the variable names come after what is known: English is never skipped.
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
    """A stored English text in the reader's language, by the message that it was made from.

    A text that no message makes stays as it is.
    """
    if language() == ENGLISH or not stored:
        return stored
    if (fixed := _(stored)) != stored:
        return fixed
    for form, places, message in _forms():
        if found := form.fullmatch(stored):
            return _filled(_(message), dict(zip(places, found.groups(), strict=True)))
    return _in_parts(stored)


def _in_parts(stored: str) -> str:
    """Several messages after one another, and a message with its place and its advice."""
    if "; " in stored:
        return "; ".join(map(translated, stored.split("; ")))
    if advised := ADVISED.fullmatch(stored):
        return f"{translated(advised[1])} ({translated(advised[2])})"
    where, colon, what = stored.partition(": ")
    return f"{where}: {translated(what)}" if colon else stored


def _filled(text: str, values: Mapping[str, str]) -> str:
    """A translation with the values of a stored text in its places."""

    def fill(place: re.Match[str]) -> str:
        value = values[place[1]]
        return translated(value) if place[1] in NESTED else value

    return PLACEHOLDER.sub(fill, text)


@lru_cache
def _catalogue(name: str) -> NullTranslations:
    return translation("onestep", FOLDER, [name], fallback=True)


@lru_cache
def _forms() -> list[tuple[re.Pattern[str], list[str], str]]:
    """A pattern of what each message makes and its placeholders, the longest message first."""
    known: Mapping[str, str] = getattr(_catalogue(CHINESE), "_catalog", {})
    messages = sorted(filter(PLACEHOLDER.search, known), key=lambda m: -len(PLACEHOLDER.sub("", m)))
    return [_form(message) for message in messages]


def _form(message: str) -> tuple[re.Pattern[str], list[str], str]:
    pattern, end = "", 0
    places: dict[str, int] = {}
    for place in PLACEHOLDER.finditer(message):
        name, kind = place[1], place[2]
        pattern += re.escape(message[end : place.start()])
        if name in places:
            pattern += f"\\{places[name]}"
        else:
            places[name] = len(places) + 1
            pattern += f"({NUMBER})" if kind else "(.+?)"
        end = place.end()
    return re.compile(pattern + re.escape(message[end:]), re.DOTALL), list(places), message
