"""Types of values that sections share: file names, splits and labels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator
from pydantic.json_schema import WithJsonSchema

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
        raise ValueError("expected a file name, or a list of them")
    return tuple(values)


def _split(value: object) -> float | tuple[str, ...]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < 1:
            raise ValueError("expected a fraction between 0 and 1, or file names")
        return float(value)
    return _texts(value)


def label_name(value: object) -> str:
    """Write a label as text: booleans as ``true`` and ``false``, integers in decimal."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _labels(value: object) -> tuple[str, ...] | dict[str, str]:
    message = "expected at least two distinct label names, or a mapping of value to name"
    if isinstance(value, dict):
        mapping = {label_name(k): label_name(v) for k, v in value.items()}
        if len(set(mapping.values())) < 2:
            raise ValueError(message)
        return mapping
    if not isinstance(value, list | tuple):
        raise ValueError(message)
    if not all(isinstance(v, str | int | bool) for v in value):
        raise ValueError(message)
    names = tuple(label_name(v) for v in value)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(message)
    return names


Plain = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
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
