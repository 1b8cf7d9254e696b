"""The interface of a data source: columns, rows, batches, a digest, a size and label names.

``docs/extending/sources.md`` shows how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from tasks.store import file_digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BATCH_CHARACTERS: Final = 4_000_000
"""Approximate characters per batch."""
ROW_CHARACTERS: Final = 200
"""Characters that each row counts besides its text, which bounds the rows of short texts."""
BLOCK_BYTES: Final = 16 * 2**20
"""Bytes that one process reads at a time, where several read one file."""

Row: TypeAlias = dict[str, Any]
Cells: TypeAlias = "pa.Array | list[Any]"
"""The values of a column: an Arrow array of strings, or Python values."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that cannot be parsed; its reason is without its text, which is for the quarantine."""

    row: int
    reason: str
    raw: str


Rows: TypeAlias = Iterator[tuple[int, Row] | Unreadable]


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a file from ``start`` to ``stop`` that hold whole rows, and their column names."""

    start: int
    stop: int
    header: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the data section that some formats use.

    Attributes:
        quotes: whether fields may be quoted.
        encoding: of text, as Python calls it; detected by default.
        delimiter: of fields; detected by default.
        sheet: of a workbook.
        usual: the encoding is that of other files, for a file that can be read in several ways.
        usual_layout: so are the delimiter and the sheet.
    """

    quotes: bool = True
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    usual: bool = False
    usual_layout: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows by column.

    Attributes:
        numbers: the number of each row in its source, or in the block that was read.
        columns: values by column name.
        unreadable: rows that cannot be parsed; they are not in ``columns``.
        empty: how many rows without a value in any column of the source are left out.
    """

    numbers: Sequence[int]
    columns: Mapping[str, Cells]
    unreadable: list[Unreadable] = field(default_factory=list)
    empty: int = 0

    def row(self, position: int) -> Row:
        """One row as Python values."""
        found = {name: cells[position] for name, cells in self.columns.items()}
        return {k: v if isinstance(self.columns[k], list) else v.as_py() for k, v in found.items()}

    def items(self) -> Iterator[tuple[int, Row]]:
        """Each row with its number, as Python values."""
        rows = zip(*(self.values(name) for name in self.columns), strict=True)
        for number, values in zip(self.numbers, rows, strict=True):
            yield number, dict(zip(self.columns, values, strict=True))

    def values(self, name: str) -> list[Any]:
        """A column as Python values."""
        cells = self.columns[name]
        return cells if isinstance(cells, list) else cells.to_pylist()

    def frame(self, texts: Iterable[str] = ()) -> pd.DataFrame:
        """The rows with their numbers as the column ``row``.

        Args:
            texts: columns that stay in Arrow's memory, not copied, if they hold only strings. All
                other columns are copied to Python values.
        """
        import numpy as np
        import pandas as pd

        frame = pd.DataFrame({"row": np.asarray(self.numbers, dtype=np.int64)})
        for name, cells in self.columns.items():
            if name in texts and not isinstance(cells, list):
                frame[name] = pd.arrays.ArrowExtensionArray(cells)
            else:
                frame[name] = pd.Series(self.values(name), dtype=object)
        return frame


class Source(ABC):
    """One file, or one split of a data set, with labelled rows. It can be pickled.

    Attributes:
        name: in messages, reports and the quarantine; unique in a pipeline.
        place: where a problem with the whole source is, for messages.
        same_columns: whether every row has the columns of :meth:`columns`, and no others.
        has_empty_rows: whether rows without any value are only a remainder of the format, such as
            the last rows of a spreadsheet, and are left out.
    """

    name: str
    place: str
    same_columns: ClassVar[bool] = True
    has_empty_rows: ClassVar[bool] = False

    @abstractmethod
    def columns(self) -> list[str]:
        """Column names; those of all rows, where each row names its own.

        Raises:
            DataError: the source is empty or not of its format.
        """

    @abstractmethod
    def rows(self, block: Block | None = None) -> Rows:
        """Rows with their numbers from 1, and those that cannot be parsed.

        Raises:
            DataError: what can no longer be read, with the place.
        """

    def batches(self, columns: Sequence[str], block: Block | None = None) -> Iterator[Batch]:
        """The same rows by column, a bounded number at a time.

        Args:
            columns: names of the columns to read; a value that a row lacks is None.
            block: of :meth:`blocks`; row numbers begin at 1 in each.
        """
        return collect(self.rows(block), columns, leave_empty=self.has_empty_rows)

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of the content, whatever the source is called."""

    @abstractmethod
    def size(self) -> int:
        """Bytes to read; large sources are read by several processes."""

    def reading(self) -> dict[str, str]:
        """How the source is read, as far as that was detected or declared: encoding and such."""
        return {}

    def find(self, rows: Collection[int]) -> Iterator[tuple[int, int | None, Row]]:
        """Rows by their numbers, with the line on which each begins if the format has lines."""
        found = (item for item in self.rows() if not isinstance(item, Unreadable))
        yield from ((number, None, row) for number, row in found if number in rows)

    def label_names(self, column: str) -> Sequence[str] | None:
        """Label names in order, if the source declares them for a column."""
        return None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Parts of about ``size`` bytes for several processes; none if it cannot be divided."""
        yield from ()

    @abstractmethod
    def origin(self, names: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The kind and the places of the sources of a split, as MLflow describes them."""


class FileSource(Source):
    """A file; a format overrides :meth:`columns`, :meth:`rows`, and what it can do better."""

    _digested: tuple[object, str] = (None, "")
    """The state of the file, and the digest that it had in that state."""

    def __init__(self, path: Path, options: Options | None = None) -> None:
        self.path = path
        self.name = self.place = str(path)
        self.options = options or Options()

    def digest(self) -> str:
        """Of the bytes, which are read again only if the file was written to."""
        known = self.path.stat()
        state = known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns
        if self._digested[0] != state:
            self._digested = state, file_digest(self.path)
        return self._digested[1]

    def size(self) -> int:
        return self.path.stat().st_size

    def origin(self, names: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """File names without the folders of this machine."""
        files = [Path(name).name for name in names]
        return "local", {"uri": files[0], "files": files}


def union(rows: Rows) -> list[str]:
    """The columns of rows that each name their own, in the order in which they come."""
    columns: dict[str, None] = {}
    for item in rows:
        if not isinstance(item, Unreadable):
            columns |= dict.fromkeys(item[1])
    return list(columns)


def collect(rows: Rows, columns: Sequence[str], *, leave_empty: bool = False) -> Iterator[Batch]:
    """Gather rows into batches of about ``BATCH_CHARACTERS``; one empty batch if there are none."""
    taken: list[tuple[int, Row]] = []
    unreadable: list[Unreadable] = []
    weight = empty = 0
    for item in rows:
        weight += ROW_CHARACTERS
        if isinstance(item, Unreadable):
            unreadable.append(item)
            weight += len(item.raw)
        elif leave_empty and is_empty(item[1].values()):
            empty += 1
        else:
            taken.append(item)
            values = (item[1].get(name) for name in columns)
            weight += sum(len(value) for value in values if type(value) is str)
        if weight > BATCH_CHARACTERS:
            yield replace(batch_of(taken, columns, unreadable), empty=empty)
            taken, unreadable, weight, empty = [], [], 0, 0
    yield replace(batch_of(taken, columns, unreadable), empty=empty)


def is_empty(values: Iterable[Any]) -> bool:
    """Whether every value is missing or blank."""
    return all(v is None or (isinstance(v, str) and not v.strip()) for v in values)


def batch_of(
    rows: Sequence[tuple[int, Row]],
    columns: Iterable[str],
    unreadable: Iterable[Unreadable] = (),
) -> Batch:
    """Rows with their numbers as one batch."""
    cells = {name: cells_of([row.get(name) for _, row in rows]) for name in columns}
    return Batch([number for number, _ in rows], cells, list(unreadable))


def cells_of(values: list[Any]) -> Cells:
    """Strings as an Arrow array; values of other types, or of several, as they are."""
    import pyarrow as pa

    if not all(value is None or isinstance(value, str) for value in values):
        return values
    return pa.array(values, pa.large_string())
