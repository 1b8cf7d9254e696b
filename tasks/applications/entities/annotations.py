"""Cells of annotated rows: spans of characters, or tokens with tags, become checked spans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeGuard

from configs.language import english
from configs.values import label_key
from tasks.applications.entities.tags import Scheme, TagError, entities_of
from tasks.applications.shared.classification import raw_labels

Span = dict[str, Any]
Reason = tuple[str, str]
PARTS = ("start", "end", "label")


@dataclass(frozen=True, slots=True)
class Broken:
    """Entities that are not valid: the rules that they break, and why."""

    reasons: tuple[Reason, ...]


def is_valid(value: object) -> bool:
    """Whether a canonical cell holds spans."""
    return isinstance(value, list)


def is_read(value: object) -> bool:
    """Whether a cell could be read, valid or not."""
    return isinstance(value, list | Broken)


def canonical(
    text: object, entities: object, scheme: Scheme = "auto", names: Sequence[str] | None = None
) -> tuple[object, object]:
    """The text and the spans of a row.

    Args:
        text: a text, or a list of tokens, also a printed one, which are joined by spaces.
        entities: spans as objects with ``start``, ``end`` and ``label`` or as triples, or a tag for
            each token; also as JSON text or as Python prints them, and tags as text with spaces
            between them.
        scheme: of the tags.
        names: of tags that are numbers.

    Returns:
        A text, and a list of spans or what is :class:`Broken` about them. A cell that cannot be
        read becomes text.
    """
    tokens = _tokens(text)
    if tokens is not None:
        text = " ".join(tokens)
    if not isinstance(text, str):
        return text, _hashable(entities)
    values = _listed(entities)
    if values is None:
        return text, _hashable(entities)
    tags = _tags(values, names)
    if tags and values:
        if tokens is None and raw_labels.is_printed(text):
            tokens = _tokens(raw_labels.read_printed(text))
            text = text if tokens is None else " ".join(tokens)
        return text, _from_tags(tokens if tokens is not None else text.split(" "), tags, scheme)
    spans = [_span(value) for value in values]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        return text, _hashable(entities)
    return text, checked(text, known)


def renamed(cell: object, known: Mapping[str, str]) -> object:
    """A cell whose types have the names that the config gives them."""
    if not isinstance(cell, list):
        return cell
    keys = [label_key(span["label"]) for span in cell]
    return [span | {"label": known.get(key, key)} for span, key in zip(cell, keys, strict=True)]


def _tokens(value: object) -> list[str] | None:
    if isinstance(value, list | tuple) and all(isinstance(token, str) for token in value):
        return list(value)
    return None


def _listed(value: object) -> list[Any] | None:
    """The values of a cell; None if it has no list."""
    if isinstance(value, str):
        if raw_labels.is_printed(value):
            return raw_labels.read_printed(value)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value.split() if isinstance(value, str) else None
    return list(value) if isinstance(value, list | tuple) else None


def _tags(values: list[Any], names: Sequence[str] | None) -> list[str] | None:
    """Tags, if every value is one."""
    if names and all(_is_position(value, len(names)) for value in values):
        return [names[value] for value in values]
    return values if all(isinstance(value, str) for value in values) else None


def _is_position(value: object, length: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < length


def _span(value: object) -> Span | None:
    if isinstance(value, dict):
        parts = tuple(value.get(part) for part in PARTS)
    elif isinstance(value, list | tuple):
        parts = tuple(value)
    else:
        return None
    if len(parts) != len(PARTS):
        return None
    start, end, label = parts
    if not (_is_whole(start) and _is_whole(end) and isinstance(label, str) and label_key(label)):
        return None
    return {"start": int(start), "end": int(end), "label": label}


def _is_whole(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _from_tags(tokens: list[str], tags: list[str], scheme: Scheme) -> list[Span] | Broken:
    """Spans of the text that the tokens make with spaces between them."""
    if len(tokens) != len(tags):
        return Broken(
            (
                (
                    "entity_tags",
                    english(
                        "{tags:d} tags for {tokens:d} tokens", tags=len(tags), tokens=len(tokens)
                    ),
                ),
            )
        )
    try:
        found = entities_of(tags, scheme)
    except TagError as error:
        return Broken((("entity_tags", str(error)),))
    starts = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    spans = [
        {
            "start": starts[entity.start],
            "end": starts[entity.end - 1] + len(tokens[entity.end - 1]),
            "label": entity.label,
        }
        for entity in found
    ]
    return checked(" ".join(tokens), spans)


def checked(text: str, spans: list[Span]) -> list[Span] | Broken:
    """The spans, or what is wrong with them."""
    reasons = tuple(misplaced(text, spans))
    return Broken(reasons) if reasons else spans


def misplaced(text: str, spans: Sequence[Span]) -> Iterator[Reason]:
    """Why spans are not entities of a text; entities are counted from 1."""
    fine = []
    for number, span in enumerate(spans, 1):
        start, end = span["start"], span["end"]
        if not 0 <= start <= end <= len(text):
            yield (
                "entity_span",
                english("entity {number}: it is outside of the text", number=number),
            )
        elif not text[start:end].strip():
            yield "entity_span", english("entity {number}: it is empty", number=number)
        elif text[start].isspace() or text[end - 1].isspace():
            yield (
                "entity_span",
                english("entity {number}: it begins or ends with white space", number=number),
            )
        else:
            fine.append((start, end, number))
    fine.sort()
    for (_, end, one), (start, _, two) in pairwise(fine):
        if start < end:
            first, second = sorted((one, two))
            yield (
                "entity_overlap",
                english("entities {first} and {second} overlap", first=first, second=second),
            )


def _hashable(value: object) -> object:
    """A cell that cannot be read as a hashable value, which pandera needs to count failures."""
    return json.dumps(value, default=str) if isinstance(value, list | tuple | dict) else value
