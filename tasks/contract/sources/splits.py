"""The declared splits and their sources."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Data
from configs.suggestions import other_file
from tasks.contract.sources import formats, hub, separators
from tasks.contract.sources.base import Block, Options, Source
from tasks.contract.sources.formats import Formats
from tasks.store import digest

SPLITS: Final = ("train", "validation", "test")
DETECTED: Final = ("encoding", "delimiter", "sheet")
"""Options that are detected unless they are declared."""


@dataclass(frozen=True)
class Sources:
    """The sources of each declared split, and the SHA-256 of the content of each.

    A split made from a fraction of the rows has none.
    """

    splits: Mapping[str, Sequence[Source]]
    digests: Mapping[str, str]

    @property
    def files(self) -> dict[str, list[str]]:
        """Names of the sources by split."""
        return {split: [one.name for one in sources] for split, sources in self.splits.items()}

    @property
    def by_name(self) -> dict[str, Source]:
        """Each source once, in the order of the splits."""
        return {one.name: one for sources in self.splits.values() for one in sources}

    def reading(self) -> list[dict[str, str]]:
        """How each file is read that can be read in several ways: encoding, delimiter, sheet."""
        found = ((Path(one.name).name, one.reading()) for one in self.by_name.values())
        return [{"file": name, **reading} for name, reading in found if reading]

    @property
    def digest(self) -> str:
        """Digest of all content, whatever the sources are called."""
        return digest(
            {split: [self.digests[f] for f in files] for split, files in self.files.items()}
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a declared split that one process reads in order: a source, or a block of it."""

    split: str
    source: Source
    block: Block | None = None

    @property
    def file(self) -> str:
        return self.source.name


def locate(data: Data, own: Formats = formats.NONE) -> Sources:
    """Find and digest the declared sources; an application may have its ``own`` formats.

    Raises:
        DataError: with every source that is missing or unreadable.
    """
    splits = _hub_splits(data) if data.dataset is not None else find_files(data, own)
    unique = {one.name: one for sources in splits.values() for one in sources}
    return Sources(splits, {name: one.digest() for name, one in sorted(unique.items())})


def require_files(data: Data, own: Formats = formats.NONE) -> None:
    """Check that the declared files are there, without reading them; a hub data set is not loaded.

    Raises:
        DataError: with every file that is missing or cannot be opened.
    """
    if data.dataset is None:
        find_files(data, own)


def parts(sources: Sources) -> list[Part]:
    """Every source of every split."""
    return [Part(split, source) for split, found in sources.splits.items() for source in found]


def _declared(data: Data) -> dict[str, Sequence[str]]:
    """Names of the sources of each split that is not a fraction."""
    named = {split: getattr(data, split) for split in SPLITS}
    return {split: names for split, names in named.items() if not isinstance(names, float)}


def _hub_splits(data: Data) -> dict[str, list[Source]]:
    assert data.dataset is not None
    found = hub.load(data.dataset, data.subset, data.revision, data.folder)
    for split, names in _declared(data).items():
        for name in names:
            if name not in found:
                message = english(
                    "no split {name!r}; found {found}", name=name, found=", ".join(found)
                )
                raise DataError.at(f"data.{split}", message)
    return {split: [found[name] for name in names] for split, names in _declared(data).items()}


def find_files(data: Data, own: Formats = formats.NONE) -> dict[str, list[Source]]:
    """The declared files by split; each is opened, but not read.

    Raises:
        DataError: with every file that is missing, of no known format, or cannot be opened.
    """
    problems: list[Problem] = []
    paths: dict[str, list[Path]] = {}
    splits: dict[str, list[Source]] = defaultdict(list)
    for split, patterns in _declared(data).items():
        with _kept(problems):
            paths[split] = expand(patterns, data.folder)
    for split, path in ((split, path) for split, found in paths.items() for path in found):
        with _kept(problems):
            splits[split].append(_open_file(path, options_of(data), own))
    if problems:
        raise DataError(problems)
    return dict(splits)


def paths(data: Data) -> list[Path]:
    """The declared files; none for a data set of the hub."""
    declared = [] if data.dataset is not None else _declared(data).values()
    return [path for patterns in declared for path in expand(patterns, data.folder)]


def options_of(data: Data) -> Options:
    """How the declared files are read."""
    return Options(data.quotes, data.encoding, data.delimiter, data.sheet)


def usual_options(data: Data, reading: Sequence[Mapping[str, str]]) -> Options:
    """How the files were read: as declared, or as it was detected if that was one way for all."""
    declared = options_of(data)
    ways = {name: {one[name] for one in reading if name in one} for name in DETECTED}
    detected: dict[str, Any] = {name: min(found) for name, found in ways.items() if len(found) == 1}
    return replace(declared, **{k: v for k, v in detected.items() if getattr(declared, k) is None})


def describe(reading: Sequence[Mapping[str, str]]) -> list[str]:
    """A phrase for each way in which files are read that are not plain UTF-8 with commas."""
    files: dict[str, list[str]] = defaultdict(list)
    for one in reading:
        if words := "; ".join(_words(**one)):
            files[words].append(one["file"])
    return [
        english("{file} read as {words}", file=names[0], words=words)
        if len(names) == 1
        else english("{count:,} files read as {words}", count=len(names), words=words)
        for words, names in files.items()
    ]


def _words(
    file: str, encoding: str = "utf-8", delimiter: str | None = None, sheet: str | None = None
) -> Iterator[str]:
    if encoding != "utf-8":
        yield encoding
    own = "\t" if formats.ending_of(Path(file)) == "tsv" else ","
    if delimiter not in (None, own):
        yield separators.name_of(delimiter)
    if sheet:
        yield english("sheet {sheet!r}", sheet=sheet)


@contextmanager
def _kept(problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        problems += error.problems


def _open_file(path: Path, options: Options, own: Formats) -> Source:
    source = formats.open_file(path, options, own)
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise DataError.at(
            source.place, english("cannot be read: {strerror}", strerror=error.strerror)
        ) from None
    return source


def expand(patterns: Sequence[str], folder: Path) -> list[Path]:
    """Resolve file names and globs; the files of a glob are sorted.

    Raises:
        DataError: no file has a name.
    """
    files: list[Path] = []
    problems = []
    for pattern in patterns:
        # First as a name: it may contain brackets, and so may the folder.
        literal = (folder / pattern).exists()
        found = [pattern] if literal else glob.glob(pattern, root_dir=folder, recursive=True)
        files += [folder / name for name in sorted(found)]
        if not found:
            problems.append(
                Problem(str(folder / pattern), english("no such file"), _nearest(folder, pattern))
            )
    if problems:
        raise DataError(problems)
    return list(dict.fromkeys(files))


def _nearest(folder: Path, pattern: str) -> str:
    parent = (folder / pattern).parent
    if not parent.is_dir():
        return english("there is no folder {parent}", parent=parent)
    known = formats.names()
    others = (path for path in parent.iterdir() if formats.ending_of(path) in known)
    # A command that is given a file has no YAML.
    usual = "" if folder == Path() else english("file names are relative to the YAML")
    return other_file(Path(pattern), others) or usual
