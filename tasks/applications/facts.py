"""Facts: what a model keeps of its training rows and of the config, such as its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from pydantic import TypeAdapter
from typing_extensions import TypeVar


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of every application; each extends them with its own.

    They travel as JSON between stages and processes, and into the served model's
    ``predictor.json``.

    Attributes:
        inputs: the text columns that the rows have.
    """

    inputs: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The facts as JSON values, without those that are None."""
        found: dict[str, Any] = TypeAdapter(type(self)).dump_python(
            self, mode="json", exclude_none=True
        )
        return found

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """The facts in a record, which may hold other keys too.

        Raises:
            pydantic.ValidationError: a fact is missing or of another type.
        """
        names = {field.name for field in fields(cls)}
        found: Self = TypeAdapter(cls).validate_python(
            {name: value for name, value in record.items() if name in names}
        )
        return found


F = TypeVar("F", bound=Facts, default=Any)
"""The facts of an application."""
