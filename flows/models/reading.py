"""The rows that a model is asked about: their file, their columns, and those without text."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, Problem
from configs.language import english
from tasks.contract.rows.layout import quote_names
from tasks.contract.rules.cells import is_blank, is_number
from tasks.contract.sources import formats, splits
from tasks.contract.sources.base import FileSource, Options, Unreadable, union
from tasks.contract.sources.text_files import STDIN

if TYPE_CHECKING:
    from tasks.workspace import Workspace

FEW = 5
"""Most rows that an error names."""
REPAIR = english("correct these rows or leave them out; nothing was predicted")
SETTING = re.compile(r"data\.(encoding|delimiter|sheet)(: )?")
Row = dict[str, Any]
Numbered = tuple[int, Row] | Unreadable


@dataclass(frozen=True, slots=True)
class Words:
    """How messages name the file, a row, and the way to name the column of an input."""

    where: str
    row: Callable[[int], str]
    rename: Callable[[str], str]


def find_file(name: str) -> Path:
    """The file of a request; ``-`` is standard input.

    Raises:
        DataError: there is no such file, there are several, or it is of no known format.
    """
    if name == "-":
        return STDIN
    found = splits.expand([name], Path())
    if len(found) > 1:
        raise DataError.at(
            name,
            english("expected one file, found {found}", found=len(found)),
            english("name one of them"),
        )
    formats.format_of(found[0])
    return found[0]


def shown(path: Path) -> str:
    """A file in messages."""
    return english("standard input") if path == STDIN else str(path)


@contextmanager
def opened(path: Path, options: Options, workspace: Workspace) -> Iterator[FileSource]:
    """The source of a file. What can be read only once is copied, since every row is checked first.

    Raises:
        DataError: it cannot be read.
    """
    if path != STDIN and not path.is_fifo():
        with _own_words(path, path):
            yield formats.open_file(path, options)
        return
    with TemporaryDirectory(dir=workspace.temporary) as folder:
        copy = Path(folder) / f"input.{formats.format_of(path)}"
        with copy.open("wb") as target, _stream(path) as stream:
            shutil.copyfileobj(stream, target)
        with _own_words(copy, path):
            yield formats.open_file(copy, options)


@contextmanager
def _own_words(read: Path, path: Path) -> Iterator[None]:
    """Errors name the file as the user did, and options of the command instead of settings."""
    try:
        yield
    except DataError as error:
        told = []
        for one in error.problems:
            advice = one.advice.replace("set data.quotes: false", "add --no-quotes")
            advice = SETTING.sub(_option, advice.replace("set data.", "add data."))
            where = one.where.replace(str(read), shown(path))
            told.append(replace(one, where=where, advice=advice))
        raise DataError(told) from None


def _option(setting: re.Match[str]) -> str:
    return f"--{setting[1]}{' ' if setting[2] else ''}"


@contextmanager
def _stream(path: Path) -> Iterator[Any]:
    if path == STDIN:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as stream:
            yield stream


def columns_of(source: FileSource) -> list[str]:
    """The columns of all rows, in the order in which they come."""
    return source.columns() if source.same_columns else union(source.rows())


def find_columns(
    names: Mapping[str, Sequence[str]],
    columns: Collection[str],
    words: Words,
    optional: Collection[str] = (),
) -> dict[str, str]:
    """The column that each input is read from.

    Args:
        names: those that each input may have, the preferred one first.
        optional: inputs that may be missing.

    Raises:
        DataError: with every input that is missing.
    """
    if not columns:
        return {name: accepted[0] for name, accepted in names.items()}
    found = {
        name: next((one for one in accepted if one in columns), None)
        for name, accepted in names.items()
    }
    others = quote_names(columns)
    problems = [
        Problem(
            words.where,
            english(
                "expected a column {column!r}, found {found}", column=names[name][0], found=others
            ),
            words.rename(name),
        )
        for name, own in found.items()
        if own is None and name not in optional
    ]
    if problems:
        raise DataError(problems)
    return {name: own for name, own in found.items() if own is not None}


def require_texts(
    rows: Iterable[Numbered],
    inputs: Mapping[str, str],
    words: Words,
    optional: Collection[str] = (),
) -> None:
    """Require what training requires: that every row can be read and has text in its inputs.

    Args:
        inputs: the column that each input is read from.
        optional: inputs whose text may be missing.

    Raises:
        DataError: with the first rows that break this, and how many there are.
    """
    first: list[Problem] = []
    broken = total = 0
    numbers, texts, others = set[str](), set[str](), False
    for item in rows:
        total += 1
        if isinstance(item, Unreadable):
            found = [Problem(words.row(item.row), item.reason)]
        else:
            found = list(_problems(*item, inputs, words, optional))
            for name, own in inputs.items():
                value = item[1].get(own)
                if value is not None and not is_blank(value):
                    (numbers if is_number(value) else texts).add(name)
            others = others or len(item[1]) > len(inputs)
        broken += bool(found)
        first += found if broken <= FEW else []
    if broken > FEW:
        message = english(
            "found {broken:,} of {total:,} rows that cannot be predicted",
            broken=broken,
            total=total,
        )
        first.append(Problem(words.where, message, REPAIR))
    # One number may be a text, and so may a column without another one that could be meant.
    if total > 1 and others and not first:
        first += [
            Problem(words.where, only_numbers(inputs[name]), words.rename(name))
            for name in sorted(numbers - texts)
        ]
    if first:
        raise DataError(first)


def _problems(
    number: int, row: Row, inputs: Mapping[str, str], words: Words, optional: Collection[str]
) -> Iterator[Problem]:
    from tasks.predictor import describe_other

    for name, own in inputs.items():
        value = row.get(own)
        if name in optional and (value is None or isinstance(value, str)):
            continue
        if own not in row:
            message = english(
                "expected a column {column!r}, found {found}", column=own, found=quote_names(row)
            )
            yield Problem(words.row(number), message, words.rename(name))
        elif found := describe_other(value):
            message = english(
                "expected text in column {own!r}, found {found}", own=own, found=found
            )
            yield Problem(words.row(number), message)


def only_numbers(column: str) -> str:
    """What is wrong with a column of numbers beside others."""
    return english("expected text in column {column!r}, found only numbers", column=column)
