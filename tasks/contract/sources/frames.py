"""From the data section to frames of raw rows, with the place of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, Problem
from configs.schema import Data
from tasks.applications.base import Application
from tasks.contract.sources import reading
from tasks.store import digest, file_digest

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "validation", "test")
WINDOW = "window"
"""The column that says how old a training row is, under its canonical name."""
OTHER_SECTIONS = {"group": "data.group_column", WINDOW: "data.window.column"}
"""Where columns are named that are not the application's."""
CHUNK = 4_000_000
"""Characters of a chunk, about."""
LIGHTEST = 200
"""What a row counts besides its text, so that chunks of short texts are not too long."""


@dataclass(frozen=True)
class Sources:
    """The files, or the splits of a data set, behind each declared split.

    Attributes:
        files: file names by split; a split made from a fraction of the training rows has none.
        digests: SHA-256 of each file's bytes.
        hub: the loaded ``datasets.DatasetDict``, if the data section names one.
    """

    files: dict[str, list[str]]
    digests: dict[str, str]
    hub: Any = None

    @property
    def digest(self) -> str:
        """Digest of all content, whatever the files are called."""
        return digest(
            {split: [self.digests[f] for f in files] for split, files in self.files.items()}
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are read one after the other.

    Attributes:
        split: the declared split.
        file: name of the file, or of a split of a hub data set.
        block: the bytes of the file, if the part is not all of it.
    """

    split: str
    file: str
    block: reading.Block | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows as read.

    Attributes:
        frame: canonical columns as objects, and ``row``, the number in the part.
        unreadable: rows that could not be parsed.
    """

    frame: pd.DataFrame
    unreadable: list[reading.Unreadable]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the declared files are read.

    Attributes:
        mapping: canonical column to the file's.
        files: file names, in the order of their positions.
        names: label names that the data set itself declares.
    """

    mapping: dict[str, str]
    files: tuple[str, ...]
    names: Sequence[str] | None


def locate(data: Data) -> Sources:
    """Find and digest the declared files.

    Raises:
        DataError: with every file that is missing or unreadable.
    """
    if data.dataset is not None:
        return _locate_hub(data)
    files: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for split in SPLITS:
        declared = getattr(data, split)
        if isinstance(declared, float):
            continue
        try:
            files[split] = [str(path) for path in reading.expand(declared, data.folder)]
        except DataError as error:
            problems += error.problems
    problems += _unreadable_files([name for names in files.values() for name in names])
    if problems:
        raise DataError(problems)
    return Sources(files, {f: file_digest(Path(f)) for names in files.values() for f in names})


def _unreadable_files(names: list[str]) -> Iterator[Problem]:
    for name in names:
        try:
            reading.format_of(Path(name))
            with Path(name).open("rb") as stream:
                stream.read(1)
        except DataError as error:
            yield from error.problems
        except OSError as error:
            yield Problem(name, f"cannot be read: {error.strerror}")


def _locate_hub(data: Data) -> Sources:
    assert data.dataset is not None
    hub = reading.hub_splits(data.dataset, data.subset, data.revision, data.folder)
    files: dict[str, list[str]] = {}
    for split in SPLITS:
        declared = getattr(data, split)
        if isinstance(declared, float):
            continue
        files[split] = list(declared)
        unknown = [name for name in declared if name not in hub]
        if unknown:
            found = ", ".join(hub)
            raise DataError(Problem(f"data.{split}", f"no split {unknown[0]!r}; found {found}"))
    used = {name for names in files.values() for name in names}
    return Sources(files, {name: hub[name]._fingerprint for name in sorted(used)}, hub)


def layout(data: Data, application: Application, sources: Sources) -> Layout:
    """Find the columns.

    Raises:
        DataError: missing columns, or files that are not of their format.
    """
    mapping = _mapping(data, application, sources)
    if sources.hub is None:
        _require_columns(data, mapping, sources)
    files = tuple(dict.fromkeys(f for names in sources.files.values() for f in names))
    return Layout(mapping, files, _declared_names(sources, mapping))


def parts(sources: Sources) -> list[Part]:
    """Every declared file of every split."""
    return [Part(split, name) for split, names in sources.files.items() for name in names]


def chunks(
    part: Part, data: Data, mapping: Mapping[str, str], sources: Sources | None = None
) -> Iterator[Chunk]:
    """Read a part under canonical column names, a bounded number of characters at a time.

    Only training rows have the column of the window.

    Args:
        part: what to read.
        data: the data section.
        mapping: of :func:`layout`.
        sources: needed for the parts of a hub data set.
    """
    mapping = columns_of(part.split, mapping)
    collected = _Collector(mapping)
    for item in _rows(sources, part, data, mapping):
        if collected.take(item):
            yield collected.chunk()
            collected = _Collector(mapping)
    yield collected.chunk()


def columns_of(split: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The columns that the rows of a declared split need."""
    return {k: v for k, v in mapping.items() if k != WINDOW or split == SPLITS[0]}


def header(file: str, data: Data, sources: Sources) -> list[str]:
    """The columns of a file; of JSON those of its first row."""
    if sources.hub is not None:
        return list(sources.hub[file].column_names)
    return reading.columns_of(Path(file), quotes=data.quotes)


def records(file: str, data: Data, sources: Sources) -> Iterator[tuple[int, reading.Row]]:
    """The readable rows of a file with their numbers, under the file's own column names."""
    if sources.hub is not None:
        yield from enumerate(sources.hub[file], 1)
        return
    for item in reading.read(Path(file), quotes=data.quotes):
        if not isinstance(item, reading.Unreadable):
            yield item


class _Collector:
    """Gathers the cells of rows by column."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in mapping}
        self._cells = [(self._columns[name], actual) for name, actual in mapping.items()]
        self._numbers: list[int] = []
        self._unreadable: list[reading.Unreadable] = []
        self._weight = 0

    def take(self, item: tuple[int, reading.Row] | reading.Unreadable) -> bool:
        """Add a row; return whether there are enough."""
        if isinstance(item, reading.Unreadable):
            self._unreadable.append(item)
            self._weight += LIGHTEST + len(item.raw)
            return self._weight > CHUNK
        number, row = item
        self._numbers.append(number)
        weight = LIGHTEST
        for column, actual in self._cells:
            value = row.get(actual)
            column.append(value)
            if type(value) is str:
                weight += len(value)
        self._weight += weight
        return self._weight > CHUNK

    def chunk(self) -> Chunk:
        import numpy as np
        import pandas as pd

        columns = {name: pd.Series(values, dtype=object) for name, values in self._columns.items()}
        numbers = np.array(self._numbers, dtype=np.int64)
        return Chunk(pd.DataFrame({"row": numbers} | columns), self._unreadable)


def _mapping(data: Data, application: Application, sources: Sources) -> dict[str, str]:
    columns = application.rows.columns(data)
    canonical = [column.name for column in columns]
    unknown = [name for name in data.columns if name not in canonical]
    if unknown:
        message = f"unknown column {unknown[0]!r}; {application.name} has {', '.join(canonical)}"
        raise DataError(Problem("data.columns", message, "write application's name: your name"))
    mapping = {name: data.columns.get(name, name) for name in canonical}
    absent = {c.name for c in columns if c.optional and c.name not in data.columns}
    if absent:
        absent -= {name for name in absent if mapping[name] in _first_header(data, sources)}
    kept = {name: actual for name, actual in mapping.items() if name not in absent}
    extra = {"group": data.group_column, WINDOW: data.window.column}
    return kept | {name: actual for name, actual in extra.items() if actual}


def _first_header(data: Data, sources: Sources) -> list[str]:
    first = next(name for names in sources.files.values() for name in names)
    try:
        return header(first, data, sources)
    except DataError:
        # What is wrong with it is said with everything else that is wrong.
        return []


def _require_columns(data: Data, mapping: dict[str, str], sources: Sources) -> None:
    problems: list[Problem] = []
    # A file of several splits is looked at once, as one with training rows if it has any.
    splits = {name: split for split in reversed(SPLITS) for name in sources.files.get(split, ())}
    for name in dict.fromkeys(f for names in sources.files.values() for f in names):
        try:
            found = reading.columns_of(Path(name), quotes=data.quotes)
        except DataError as error:
            problems += error.problems
            continue
        problems += _missing(name, found, columns_of(splits[name], mapping))
    if problems:
        raise DataError(problems)


def _missing(where: str, found: list[str], mapping: Mapping[str, str]) -> Iterator[Problem]:
    free = [name for name in found if name not in mapping.values()]
    for canonical, actual in mapping.items():
        if actual in found:
            continue
        message = f"expected a column {actual!r}, found {reading.names(found)}"
        near = get_close_matches(actual.lower(), [name.lower() for name in free], 1, cutoff=0.5)
        original = next((name for name in free if near and name.lower() == near[0]), None)
        section = OTHER_SECTIONS.get(canonical, f"data.columns.{canonical}")
        advice = f"set {section}" + (f": {original}" if original else " to the right name")
        if any(len(name) > reading.LONGEST_NAME for name in found):
            advice = "does the file begin with a line of column names?"
        elif len(found) == 1 and ";" in found[0]:
            advice = "save the file with commas between its columns, not semicolons"
        yield Problem(where, message, advice)


def _rows(
    sources: Sources | None, part: Part, data: Data, mapping: Mapping[str, str]
) -> reading.Rows:
    if sources is None or sources.hub is None:
        return reading.read(Path(part.file), quotes=data.quotes, block=part.block)
    split = sources.hub[part.file]
    missing = list(_missing(f"data.dataset split {part.file}", split.column_names, mapping))
    if missing:
        raise DataError(missing)
    return ((number, row) for number, row in enumerate(split, 1))


def _declared_names(sources: Sources, mapping: Mapping[str, str]) -> Sequence[str] | None:
    target = mapping.get("label") or mapping.get("labels")
    if sources.hub is None or target is None:
        return None
    first = next(name for names in sources.files.values() for name in names)
    feature = sources.hub[first].features[target]
    names: Sequence[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names
