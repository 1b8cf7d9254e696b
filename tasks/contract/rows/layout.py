"""The columns of the application in the sources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Data, Pipeline
from tasks.applications.base import Application
from tasks.contract.sources.base import Batch
from tasks.contract.sources.separators import name_of
from tasks.contract.sources.splits import SPLITS, Part, Sources

WINDOW: Final = "window"
"""Canonical name of the column with the time of a training row."""
ID: Final = "id"
"""Canonical name of the column that names a row for people."""
OTHER_SETTINGS: Final = {
    "group": "data.group_column",
    WINDOW: "data.window.column",
    ID: "data.id_column",
}
"""Settings that name other columns than the application's."""
LONGEST_NAME, MOST_WORDS, MOST_NAMES = 40, 4, 12
PLAIN: Final = re.compile(r"[A-Za-z_](?:[\w .-]*\w)?")
YAML_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


@dataclass(frozen=True, slots=True)
class Layout:
    """How the declared sources are read.

    Attributes:
        mapping: canonical column name to the sources' own.
        files: names of the sources, in the order of their positions.
        names: label names that the sources declare.
    """

    mapping: dict[str, str]
    files: tuple[str, ...]
    names: Sequence[str] | None

    def texts(self, config: Pipeline, application: Application) -> list[str]:
        """The text columns that the sources have."""
        return [name for name in application.rows.texts(config) if name in self.mapping]


def find_columns(data: Data, application: Application, sources: Sources) -> Layout:
    """Find the columns of the application in the sources.

    Raises:
        DataError: missing columns, or sources that are not of their format.
    """
    mapping = _mapping(data, application, sources)
    _require_columns(mapping, sources)
    target = mapping.get("label") or mapping.get("labels")
    names = _label_names(target, sources) if target else None
    return Layout(mapping, tuple(sources.by_name), names)


def _label_names(target: str, sources: Sources) -> Sequence[str] | None:
    """The names that the sources give to numbers.

    Raises:
        DataError: a number has different names in two sources.
    """
    found = {name: source.label_names(target) for name, source in sources.by_name.items()}
    declared = {name: list(names) for name, names in found.items() if names}
    if len(set(map(tuple, declared.values()))) > 1:
        named = "; ".join(f"{name}: {', '.join(names[:5])}" for name, names in declared.items())
        raise DataError.at(
            english("column {target!r}", target=target),
            english("the classes have several orders: {named}", named=named),
        )
    return next(iter(declared.values()), None)


def columns_of(split: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The columns of a declared split; only training rows need the column of the window."""
    return {k: v for k, v in mapping.items() if k != WINDOW or split == SPLITS[0]}


def read(part: Part, mapping: Mapping[str, str]) -> Iterator[Batch]:
    """Read a part in batches under canonical column names."""
    wanted = columns_of(part.split, mapping)
    for batch in part.source.batches(list(dict.fromkeys(wanted.values())), part.block):
        columns = {name: batch.columns[actual] for name, actual in wanted.items()}
        yield replace(batch, columns=columns)


def _mapping(data: Data, application: Application, sources: Sources) -> dict[str, str]:
    columns = application.rows.columns(data)
    canonical = [column.name for column in columns]
    unknown = [name for name in data.columns if name not in canonical]
    if unknown:
        message = english(
            "unknown column {unknown!r}; {name} has {canonical}",
            unknown=unknown[0],
            name=application.name,
            canonical=", ".join(canonical),
        )
        raise DataError.at("data.columns", message, english("write application's name: your name"))
    mapping = {name: data.columns.get(name, name) for name in canonical}
    absent = {c.name for c in columns if c.optional and c.name not in data.columns}
    if absent:
        absent -= {name for name in absent if mapping[name] in _all_columns(sources)}
    kept = {name: actual for name, actual in mapping.items() if name not in absent}
    extra = {"group": data.group_column, WINDOW: data.window.column, ID: data.id_column}
    return kept | {name: actual for name, actual in extra.items() if actual}


def _all_columns(sources: Sources) -> set[str]:
    found: set[str] = set()
    for source in sources.by_name.values():
        # _require_columns reports it with every other problem.
        with suppress(DataError):
            found.update(source.columns())
    return found


def _require_columns(mapping: dict[str, str], sources: Sources) -> None:
    problems: list[Problem] = []
    # A source of several splits is checked once, as training rows if it has any.
    splits = {name: split for split in reversed(SPLITS) for name in sources.files.get(split, ())}
    for name, source in sources.by_name.items():
        try:
            found = source.columns()
        except DataError as error:
            problems += error.problems
            continue
        problems += _missing(source.place, found, columns_of(splits[name], mapping))
    if problems:
        raise DataError(problems)


def _missing(where: str, found: list[str], mapping: Mapping[str, str]) -> Iterator[Problem]:
    free = [name for name in found if name not in mapping.values()]
    for canonical, actual in mapping.items():
        if actual in found:
            continue
        message = english(
            "expected a column {actual!r}, found {found}", actual=actual, found=quote_names(found)
        )
        near = get_close_matches(actual.lower(), [name.lower() for name in free], 1, cutoff=0.5)
        original = next((name for name in free if near and name.lower() == near[0]), None)
        setting = OTHER_SETTINGS.get(canonical, f"data.columns.{canonical}")
        advice = english("set {setting} to the right name", setting=setting)
        if original:
            advice = english("set {setting}: {name}", setting=setting, name=_yaml(original))
        if any(len(name) > LONGEST_NAME for name in found):
            advice = english("does the file begin with a line of column names?")
        elif len(found) == 1 and (mark := next((one for one in ";|\t," if one in found[0]), "")):
            advice = english(
                "its columns are {note}: set data.delimiter: {mark}",
                note=name_of(mark),
                mark=json.dumps(mark),
            )
        yield Problem(where, message, advice)


def _yaml(name: str) -> str:
    """A name as a value in YAML, in quotation marks unless it is a plain word."""
    plain = PLAIN.fullmatch(name) and name.lower() not in YAML_WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def quote_names(columns: Iterable[str]) -> str:
    """Column names for a message, without names that may be text of a row."""
    found = list(columns)
    shown = [
        repr(name) if _is_name(name) else english("a name of {count} characters", count=len(name))
        for name in found[:MOST_NAMES]
    ]
    more = len(found) - len(shown)
    names = ", ".join(shown) or english("none")
    return english("{names} and {count:d} more", names=names, count=more) if more else names


def _is_name(text: str) -> bool:
    from tasks.contract.rules.privacy import KINDS, Recognizer

    short = len(text) <= LONGEST_NAME and len(text.split()) <= MOST_WORDS
    return short and not Recognizer(KINDS).find(text)
