"""Raw values of a label column: the key of each, and values that can be read in two ways."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

from configs.language import english
from configs.schema import Data
from configs.values import label_key, label_name
from tasks.applications.base import Problems
from tasks.applications.shared.classification.labels import declared, natural, shown

MOST_SHOWN: Final = 5
NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?|true|false")
PRINTED: Final = re.compile(
    r"\[\s*\]|\[[\s.,+-]*\d[\d\s.,+-]*\]"  # numbers
    r"|[\[({]\s*['\"].*[\])}]|b'.*'|b\".*\""  # texts, bytes
    r"|\[[^\[\]]*,[^\[\]]*\]|\{[^{}]*,[^{}]*\}"  # names
    r"|(array|list|tuple|set|frozenset)\(.*\)",
    re.DOTALL,
)
"""A list, or bytes, as a program prints them."""
FLAGS_AS_TEXT: Final = re.compile(r"[01](\s*[01])+")
ADJACENT: Final = re.compile(r"['\"]\s+['\"]")
FLAGS: Final = {"0", "1", "true", "false"}


def canonical(value: object) -> str | None:
    """The key of a raw label, as :func:`label_key` writes it; None if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return label_key(value) or None


def one(
    value: object, names: Sequence[str] | None = None, known: Container[str] = frozenset()
) -> Any:
    """The key of a raw label; a value that cannot be one becomes a tuple, which has a hash.

    ``names`` are those that the data set itself gives to numbers; another number is missing. What
    is ``known`` as a label is one, also if a program prints lists in this way.
    """
    if isinstance(value, str) and label_key(value) in known:
        return label_key(value)
    if names and type(value) is int:
        value = names[value] if 0 <= value < len(names) else None
    if isinstance(value, bytes | list | dict | tuple) or is_printed(value):
        return (repr(value),)
    return canonical(value)


def is_printed(value: object) -> bool:
    """Whether a text is what a program prints for a list or bytes, such as ``['a', 'b']``."""
    return isinstance(value, str) and bool(PRINTED.fullmatch(value.strip()))


def read_printed(text: str) -> list[Any] | None:
    """The list that was printed as JSON or by Python; None if it cannot be read for certain."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if ADJACENT.search(text):
            # Python reads 'a' 'b', as NumPy prints them, as one text.
            return None
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return list(value) if isinstance(value, list | tuple | set) else None


def translation(data: Data, names: Sequence[str] | None) -> dict[str, str]:
    """The names of labels by their keys, as the config or else the data set declares them.

    A mapping may have the numbers of the data set's own names as keys.
    """
    own = [label_key(name) for name in names or ()]
    if not isinstance(data.labels, dict):
        return {label_key(name): label_name(name) for name in data.labels or names or ()}
    numbered = {} if any(map(NUMBER.fullmatch, own)) else dict(enumerate(own))
    by_number = {key: data.labels.get(str(at)) for at, key in numbered.items()}
    return {key: name for key, name in by_number.items() if name is not None} | data.labels


def pieces(value: object, separator: str) -> list[Any] | None:
    """The raw labels of a row that has any number of them; None if it is no set of labels."""
    if isinstance(value, str):
        if is_printed(value):
            return read_printed(value)
        return [piece for piece in value.split(separator) if piece.strip()]
    return list(value) if isinstance(value, list | tuple) else None


def undeclared(keys: Iterable[Any], data: Data, names: Sequence[str] | None) -> Problems:
    """Values of which ``data.labels`` has none: what is found, and what to write."""
    known = translation(data, names)
    found = sorted({key for key in keys if isinstance(key, str)}, key=natural)
    if data.labels is None or not found or not known.keys().isdisjoint(found):
        return
    if not names and not all(map(NUMBER.fullmatch, found)):
        # Any other value may be text of a row; the rule for unknown labels counts them.
        return
    listed = declared(data) or ()
    readings = " or ".join(_mapping(found, some) for some in (listed, listed[::-1]))
    words = english("the data set names its classes") if names else "found"
    yield (
        english(
            "{words} {found}, and data.labels has {known}",
            words=words,
            found=_some(found),
            known=_some(known),
        ),
        english("say which is which: data.labels: {readings}", readings=readings),
    )


def flags(rows: Sequence[Sequence[Any]], data: Data, names: Sequence[str] | None) -> Problems:
    """Rows of zeros and ones, which mark labels or are their numbers.

    One label twice in a row, and rows of one length, are the sign of marks; another number in the
    column is the sign of numbers.
    """
    known = translation(data, names)
    keys = [[one(value) for value in row] for row in _spelled_out(rows, known)]
    # A row without labels says nothing about the others.
    vectors = [row for row in keys if row and FLAGS.issuperset(row)]
    lengths = {len(row) for row in vectors}
    if lengths <= {1} or any(map(_has_number, (row for row in keys if row not in vectors))):
        return
    repeated = any(len(set(row)) < len(row) for row in vectors)
    declared = all(one(value, names) in known for row in rows for value in row)
    if repeated or (len(lengths) == 1 and not declared):
        yield (
            english(
                "rows of {lengths} zeros and ones: they may mark the labels that it has, or "
                "be the numbers of its labels",
                lengths=max(lengths),
            ),
            english(
                "write the names of each row's labels; of numbers, name each with data.labels, "
                "as in {0: sports, 1: music}"
            ),
        )


def _spelled_out(rows: Sequence[Sequence[Any]], known: Container[str]) -> Sequence[Sequence[Any]]:
    """The rows, texts such as ``1 0 1`` or ``011`` as lists of their zeros and ones."""
    texts = {
        row[0]
        for row in rows
        if len(row) == 1
        and isinstance(row[0], str)
        and FLAGS_AS_TEXT.fullmatch(row[0].strip())
        and label_key(row[0]) not in known
    }
    # Without a blank or a leading zero they are numbers.
    if not any(" " in text.strip() or text.strip()[0] == "0" for text in texts):
        return rows
    return [re.findall("[01]", row[0]) if row and row[0] in texts else row for row in rows]


def _has_number(keys: Iterable[Any]) -> bool:
    return any(isinstance(key, str) and NUMBER.fullmatch(key) for key in keys)


def _mapping(found: Sequence[str], names: Sequence[str]) -> str:
    pairs = [f"{key}: {shown(name)}" for key, name in zip(found, names, strict=False)]
    return "{" + ", ".join(pairs[:MOST_SHOWN] + ["..."] * (len(pairs) > MOST_SHOWN)) + "}"


def _some(names: Iterable[str]) -> str:
    listed = [shown(name) for name in names]
    return ", ".join(listed[:MOST_SHOWN]) + ", ..." * (len(listed) > MOST_SHOWN)
