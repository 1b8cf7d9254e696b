"""The base of every section of a pipeline file, and types of values that sections share."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
)
from pydantic.json_schema import WithJsonSchema

from configs.language import english

Severity = Literal["refuse", "quarantine", "warn"]
Fraction = Annotated[float, Field(ge=0, le=1)]
DecayRate = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Activation = Literal[
    "relu",
    "elu",
    "gelu",
    "gelu_new",
    "gelu_pytorch_tanh",
    "leaky_relu",
    "mish",
    "relu2",
    "silu",
    "tanh",
]
Country = Literal[
    "at",
    "au",
    "be",
    "br",
    "ca",
    "ch",
    "cn",
    "de",
    "dk",
    "es",
    "fi",
    "fr",
    "gb",
    "ie",
    "in",
    "it",
    "jp",
    "kr",
    "mx",
    "nl",
    "no",
    "pl",
    "pt",
    "se",
    "us",
    "za",
]
"""Countries whose national ids and telephone numbers are recognized: ISO 3166-1 alpha-2."""
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}([_-][A-Za-z0-9]{2,4})*$")]

UNSEEN: Final = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202c\u2060-\u2064\u2066-\u2069\ufeff]"
    "|(?<![^\x00-\u024f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\u024f])"
)
"""Characters of no width; joiners only beside Latin letters, since other scripts show them."""
ABSENT: Final = frozenset(
    {"NaN", "nan", "NaT", "NULL", "null", "None", "N/A", "#N/A", "<NA>", "\\N"}
)
"""What programs write for a missing value; a reader cannot tell it from a name."""
WHOLE: Final = re.compile(r"-?(0)(?:\.0+)?|(-?[1-9][0-9]*)\.0+")
"""A whole number that may have a fraction of zeros."""

NO_FILES: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})
"""Codecs that are no encodings of files."""

TEXT_OR_TEXTS: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    ]
}
SCALAR: dict[str, Any] = {"type": ["string", "integer", "boolean"]}


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(isinstance(v, str) and v for v in values):
        raise ValueError(english("expected a file name, or a list of them"))
    return tuple(values)


def _split(value: object) -> float | tuple[str, ...]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < 1:
            raise ValueError(english("expected a fraction between 0 and 1, or file names"))
        return float(value)
    return _texts(value)


def label_name(value: object) -> str:
    """Write a label as text: what looks the same to a reader is the same text.

    Booleans are ``true`` and ``false``, letters are composed (NFC), characters that nobody sees are
    left out, and white space is a single blank.
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(unicodedata.normalize("NFC", UNSEEN.sub("", text)).split())


@lru_cache(maxsize=10_000, typed=True)
def label_key(value: object) -> str:
    """What labels are compared by: their name, without regard to how a truth value or a whole
    number is written (``True``, ``1.0``).
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = label_name(value)
    if text.lower() in {"true", "false"}:
        return text.lower()
    whole = WHOLE.fullmatch(text)
    return whole[1] or whole[2] if whole else text


def _labels(value: object) -> tuple[str, ...] | dict[str, str]:
    message = english("expected at least two distinct label names, or a mapping of value to name")
    if isinstance(value, dict):
        pairs = {(label_key(k), label_name(v)) for k, v in value.items()}
        mapping = {label_key(k): label_name(v) for k, v in value.items()}
        if len(mapping) < len(pairs):
            raise ValueError(
                english("expected one name for each value, found two names for the same value")
            )
        names: Collection[str] = set(mapping.values())
        found: tuple[str, ...] | dict[str, str] = mapping
    elif isinstance(value, list | tuple) and all(isinstance(v, str | int | bool) for v in value):
        names = found = tuple(label_name(v) for v in value)
    else:
        raise ValueError(message)
    if not 2 <= len({label_key(name) for name in names}) == len(names) or "" in names:
        raise ValueError(message)
    return found


def encoding_name(value: str) -> str:
    """An encoding of text, as Python calls it."""
    try:
        codec = codecs.lookup(value)
        is_text = "a,\n".encode(value).decode(value) == "a,\n" and codec.name not in NO_FILES
    except (LookupError, TypeError, ValueError):
        is_text = False
    if not is_text:
        raise ValueError(
            english(
                "expected an encoding such as utf-8, cp1252 or gb18030, found {value!r}",
                value=value,
            )
        )
    return value


def delimiter_of(value: str) -> str:
    r"""One character that may separate fields; ``\t`` may be written as in YAML and shells."""
    value = "\t" if value == r"\t" else value
    if len(value) != 1 or value in '" \r\n\0':
        raise ValueError(
            english('expected one character such as ";" or "\\t", with its quotation marks')
        )
    return value


Plain = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
Encoding = Annotated[str, AfterValidator(encoding_name)]
Delimiter = Annotated[
    str,
    AfterValidator(delimiter_of),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 2}),
]
Files = Annotated[tuple[str, ...], PlainValidator(_texts), Plain, WithJsonSchema(TEXT_OR_TEXTS)]
Split = Annotated[
    float | tuple[str, ...],
    PlainValidator(_split),
    Plain,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                *TEXT_OR_TEXTS["anyOf"],
            ]
        }
    ),
]
Labels = Annotated[
    tuple[str, ...] | dict[str, str],
    PlainValidator(_labels),
    Plain,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": SCALAR, "minItems": 2, "uniqueItems": True},
                {"type": "object", "additionalProperties": SCALAR, "minProperties": 2},
            ]
        }
    ),
]


class Section(BaseModel):
    """Base of every section: immutable, strictly typed, without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class LocatedSection(Section):
    """A section with paths that are relative to the folder of the pipeline file."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that its paths are relative to."""
        return self._folder

    def below(self, folder: Path) -> Self:
        """Return the section with its paths taken relative to ``folder``."""
        copy = self.model_copy()
        copy._folder = folder
        return copy
