"""Tag sequences (BIO, BILOU and its twin IOBES, IOB1) and the entities that they mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from configs.language import english
from configs.values import label_key

Scheme = Literal["auto", "bio", "bilou", "iob1"]
Tag = tuple[str, str]
"""Prefix and type."""
OUTSIDE: Final = "O"
BILOU: Final = {"E": "L", "S": "U"}
"""IOBES writes E for the last token of an entity and S for its only one."""
PREFIXES: Final = {"bio": "BI", "bilou": "BILU", "iob1": "BI"}
OPENS: Final = {"bio": "B", "bilou": "BU", "iob1": "B"}
"""Prefixes that begin an entity after any tag."""
NEVER_AFTER_OUTSIDE: Final = {"bio": "I", "bilou": "IL", "iob1": ""}
ENDS: Final = "LU"


class TokenSpan(NamedTuple):
    """An entity of a sequence: its first token, the token after its last, and its type."""

    start: int
    end: int
    label: str


class TagError(ValueError):
    """A tag sequence that its scheme does not allow; the message has the token, never its text."""


def entities_of(tags: Sequence[str], scheme: Scheme = "auto") -> list[TokenSpan]:
    """Read the entities out of tags such as ``B-PERSON``.

    Args:
        tags: one for each token; E and S are read as L and U.
        scheme: ``auto`` reads BILOU where a tag begins with L, U, E or S, else BIO.

    Raises:
        TagError: an unknown tag, or one that cannot follow the tag before it.
    """
    parsed = [_parsed(number, tag) for number, tag in enumerate(tags, 1)]
    if scheme == "auto":
        scheme = "bilou" if any(prefix in ENDS for prefix, _ in parsed) else "bio"
    found: list[TokenSpan] = []
    start, before = 0, (OUTSIDE, "")
    for at, tag in enumerate([*parsed, (OUTSIDE, "")]):
        goes_on = _goes_on(before, tag, scheme)
        if reason := _refusal(before, tag, goes_on, scheme):
            raise TagError(english("token {at}: {reason}", at=at + 1, reason=reason))
        if not goes_on:
            if before[0] != OUTSIDE:
                found.append(TokenSpan(start, at, before[1]))
            start = at
        before = tag
    return found


def _goes_on(before: Tag, tag: Tag, scheme: Scheme) -> bool:
    """Whether a tag belongs to the entity of the tag before it."""
    prefix, label = tag
    is_same = before[0] != OUTSIDE and label == before[1]
    return is_same and not _is_last(before, scheme) and prefix not in OPENS[scheme]


def _is_last(tag: Tag, scheme: Scheme) -> bool:
    return scheme == "bilou" and tag[0] in ENDS


def _refusal(before: Tag, tag: Tag, goes_on: bool, scheme: Scheme) -> str:
    """Why a tag cannot follow the tag before it; empty if it can."""
    prefix, _ = tag
    if prefix not in (OUTSIDE, *PREFIXES[scheme]):
        return english("{prefix} is no tag of {scheme}", prefix=prefix, scheme=scheme.upper())
    if prefix in NEVER_AFTER_OUTSIDE[scheme] and not goes_on:
        return english("{prefix} does not continue an entity of its type", prefix=prefix)
    is_open = before[0] != OUTSIDE and not _is_last(before, scheme)
    if scheme == "bilou" and is_open and not goes_on:
        return english("the entity before it has no last token (L or E)")
    return ""


def _parsed(number: int, tag: str) -> Tag:
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, label = tag.partition("-")
    prefix = BILOU.get(prefix, prefix)
    if len(prefix) != 1 or prefix not in "BILU" or not label_key(label):
        raise TagError(
            english(
                "token {number}: expected O, or a prefix and a type as in B-PERSON", number=number
            )
        )
    return prefix, label_key(label)
