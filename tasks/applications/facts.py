"""The census of the rows of a data set, and the facts that a model keeps of it and the config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from pydantic import TypeAdapter
from typing_extensions import TypeVar


def labels_of(key: Any) -> tuple[Any, ...]:
    """The labels in a target key: one, or those of a tuple."""
    return key if isinstance(key, tuple) else (key,)


@dataclass(frozen=True, slots=True)
class Census:
    """Rows by split and by target key, as :meth:`Rows.target_keys` makes them.

    Attributes:
        inputs: the text columns that rows have.
        counts: rows by split and target key.
        first: file and row of the first row with a target key, by split.
    """

    inputs: tuple[str, ...]
    counts: Mapping[str, Mapping[Any, int]]
    first: Mapping[tuple[str, Any], str] = field(default_factory=dict)

    def rows(self, split: str) -> int:
        """Rows of a split."""
        return sum(self.counts.get(split, {}).values())

    def labels(self, split: str) -> Counter[str]:
        """Rows of a split with each label; a row with several counts for each."""
        totals: Counter[str] = Counter()
        for key, rows in self.counts.get(split, {}).items():
            for label in labels_of(key):
                totals[label] += rows
        return totals

    def place(self, split: str, label: str) -> str:
        """File and row of the first row with a label."""
        return next(
            where
            for (name, key), where in self.first.items()
            if name == split and label in labels_of(key)
        )


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
        names = {one.name for one in fields(cls)}
        found: Self = TypeAdapter(cls).validate_python(
            {name: value for name, value in record.items() if name in names}
        )
        return found


F = TypeVar("F", bound=Facts, default=Any)
"""The facts of an application."""
