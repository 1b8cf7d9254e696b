"""The columns of an application's rows, and how their values are read and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol

from configs.schema import Data, Pipeline
from tasks.applications.facts import F

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Problems = Iterator[tuple[str, str]]
"""Settings that cannot be used, or rules that a row breaks: which, and why."""


def text() -> pa.DataType:
    """The Arrow type of a text."""
    import pyarrow as pa

    return pa.large_string()


def texts() -> pa.DataType:
    """The Arrow type of a list of texts."""
    import pyarrow as pa

    return pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Column:
    """An input column by its canonical name.

    Attributes:
        name: the name that the application uses; ``data.columns`` maps it to the file's.
        kind: ``text`` is shown to the model, ``target`` is what it learns.
        optional: whether files may lack it.
        stored: makes the Arrow type of its values once a row is valid.
    """

    name: str
    kind: Literal["text", "target"]
    optional: bool = False
    stored: Callable[[], pa.DataType] = text


class RewrittenText(Protocol):
    """A text in which characters were repaired or private data was replaced."""

    @property
    def old(self) -> str:
        """The text before."""

    @property
    def text(self) -> str:
        """The new text."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the old text is in the new one, in whole placeholders."""


class Rows(Generic[F]):
    """The columns of the rows, and how their values are read and stored."""

    one_target_per_input = False
    """Whether the same input with two targets is a conflict."""

    def columns(self, data: Data) -> tuple[Column, ...]:
        """The columns that rows have."""
        raise NotImplementedError

    def texts(self, config: Pipeline) -> dict[str, str]:
        """Columns that hold text, and the language of each; by default the inputs."""
        columns = self.columns(config.data)
        return {column.name: config.language.source for column in columns if column.kind == "text"}

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """Columns that make two rows the same, within a split or across splits."""
        return tuple(column.name for column in self.columns(data) if column.kind == "text")

    def compared(self, data: Data) -> tuple[str, ...]:
        """Columns of the identity that are compared for near duplicates."""
        return self.identity("leakage", data)

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Bring raw target values into canonical form, in place.

        ``names`` are label names that the data set itself declares.
        """

    def readings(self, frame: pd.DataFrame, data: Data) -> Iterable[Any]:
        """Raw target values that may have two readings; none by default."""
        return ()

    def ambiguities(
        self, values: Iterable[Any], data: Data, names: Sequence[str] | None
    ) -> Problems:
        """Distinct :meth:`readings` of a file that have two: what is found, and what to write."""
        yield from ()

    def realign(self, target: Any, rewritten: Mapping[str, RewrittenText]) -> Any:
        """The target of a row some of whose texts were rewritten, such as shifted spans."""
        return target

    def target_keys(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """Per row a small hashable summary of the target, which :class:`Census` counts.

        A label, a tuple of labels, or None where datasets are not judged by their targets.
        """
        return None

    def store(self, frame: pd.DataFrame, facts: F) -> dict[str, Any]:
        """The columns to write to disk, ready for :meth:`Tokens.encode`."""
        raise NotImplementedError

    def spelled_out(self, stored: pd.DataFrame, facts: F) -> pd.DataFrame:
        """Stored rows with targets by value, where they are positions among the facts."""
        return stored
