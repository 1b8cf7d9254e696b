"""The numbers that are kept in memory of each row, by which rows are compared and split."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array

from configs.schema import Data
from configs.values import ABSENT, label_key
from tasks import arrow
from tasks.applications.base import Application
from tasks.applications.facts import Census
from tasks.contract.rows.layout import ID, WINDOW
from tasks.contract.rules.findings import Place
from tasks.contract.sources.splits import SPLITS

Hashes = NDArray[np.uint64]
Identity = Literal["duplicates", "leakage"]
IDENTITIES: Final[tuple[Identity, ...]] = ("duplicates", "leakage")
NO_GROUP: Final = np.uint64(0)
MIXER: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Catalogue:
    """Arrays with one entry for each row of the spool.

    Rows are the same if 64-bit hashes are; of ten million different rows, two collide with a
    probability of 3 in a million.

    Attributes:
        split: position in ``SPLITS``.
        file: position of the file.
        content: hash of inputs and target.
        duplicates: hash of the columns that identify a row within its split.
        leakage: hash of the columns that identify a row across splits.
        group: hash of ``data.group_column``, ``NO_GROUP`` for a row without a value; empty without
            that setting.
        target: position in ``values``; empty if the application has no target keys.
        values: the distinct target keys, as :meth:`Rows.target_keys` makes them.
        moment: time of a training row, NaN for other rows; empty without a window by column.
        record: hash of the id and the columns that identify a row, ``NO_GROUP`` for a row without
            an id; empty without ``data.id_column``.
    """

    split: NDArray[np.int8]
    file: NDArray[np.int32]
    row: NDArray[np.int32]
    content: Hashes
    duplicates: Hashes
    leakage: Hashes
    group: Hashes
    target: NDArray[np.int32]
    values: list[Any] = field(default_factory=list)
    moment: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    record: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self.split)

    def place(self, position: int, files: Sequence[str]) -> Place:
        """The split, file and number of a row."""
        split, file = SPLITS[self.split[position]], files[self.file[position]]
        return Place(split, file, int(self.row[position]))

    def census(
        self, kept: NDArray[np.bool_], inputs: Sequence[str], files: Sequence[str]
    ) -> Census:
        """The rows that stay, by split and target key."""
        counts: dict[str, dict[Any, int]] = {}
        first: dict[tuple[str, Any], str] = {}
        for number, split in enumerate(SPLITS):
            rows = np.flatnonzero(kept & (self.split == number))
            codes = self.target[rows] if len(self.target) else np.zeros(len(rows), np.int32)
            values = self.values if len(self.target) else [None]
            found, places, totals = np.unique(codes, return_index=True, return_counts=True)
            counts[split] = {values[c]: int(n) for c, n in zip(found, totals, strict=True)}
            for code, place in sorted(
                zip(found, rows[places], strict=True), key=lambda pair: int(pair[1])
            ):
                first[split, values[code]] = str(self.place(place, files))
        return Census(tuple(inputs), counts, first)


class Cataloguer:
    """Makes a catalogue of rows that come in batches."""

    def __init__(self, application: Application, data: Data) -> None:
        self._application = application
        self._data = data
        self._codes: dict[Hashable, int] = {}
        self._pieces: list[Catalogue] = []

    def add(self, frame: pd.DataFrame, split: int, file: int) -> None:
        rows = len(frame)
        targets = [c.name for c in self._application.rows.columns(self._data) if c.kind == "target"]
        across = self.hashes(frame, "leakage")
        alike = {self._application.rows.identity(rule, self._data) for rule in IDENTITIES}
        same = across if len(alike) == 1 else self.hashes(frame, "duplicates")
        self._pieces.append(
            Catalogue(
                split=np.full(rows, split, dtype=np.int8),
                file=np.full(rows, file, dtype=np.int32),
                row=frame["row"].to_numpy(np.int32),
                content=_combined([same, hash_rows(frame, targets)]),
                duplicates=same,
                leakage=across,
                group=_keys(frame, "group"),
                target=self._target(frame),
                moment=self._moment(frame),
                record=_record(_keys(frame, ID), across),
            )
        )

    def hashes(self, frame: pd.DataFrame, rule: Identity) -> Hashes:
        """Hashes of the columns that identify rows."""
        return hash_rows(frame, self._application.rows.identity(rule, self._data))

    def _target(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        values = self._application.rows.target_keys(frame)
        if values is None:
            return np.empty(0, np.int32)
        codes = self._codes
        return np.array([codes.setdefault(value, len(codes)) for value in values], np.int32)

    def _moment(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        if not self._data.window.column:
            return np.empty(0)
        return frame[WINDOW].to_numpy(float) if WINDOW in frame else np.full(len(frame), np.nan)

    def finish(self) -> Catalogue:
        return joined([*self._pieces, _empty(list(self._codes))])


def _empty(values: list[Any]) -> Catalogue:
    hashes = np.empty(0, np.uint64)
    numbers = np.empty(0, np.int8), np.empty(0, np.int32), np.empty(0, np.int32)
    return Catalogue(*numbers, hashes, hashes, hashes, hashes, np.empty(0, np.int32), values)


def joined(pieces: Sequence[Catalogue]) -> Catalogue:
    """One catalogue of several, which are used up; the last one has the values of all."""
    shared = all(piece.duplicates is piece.leakage for piece in pieces)
    arrays: dict[str, Any] = {}
    for one in fields(Catalogue):
        if one.name == "values" or (one.name == "leakage" and shared):
            continue
        arrays[one.name] = np.concatenate([getattr(piece, one.name) for piece in pieces])
        # Column by column, so that only one is in memory twice.
        for piece in pieces:
            setattr(piece, one.name, None)
    if shared:
        arrays["leakage"] = arrays["duplicates"]
    return Catalogue(**arrays, values=pieces[-1].values)


def merged(parts: Sequence[Catalogue], offsets: Sequence[int]) -> Catalogue:
    """One catalogue of the parts of files, which are used up, with the rows before each part."""
    codes: dict[Hashable, int] = {}
    for part, before in zip(parts, offsets, strict=True):
        new = [codes.setdefault(value, len(codes)) for value in part.values]
        part.target = np.array(new, np.int32)[part.target] if len(part.target) else part.target
        part.row += before
    return joined([*parts, _empty(list(codes))])


def hash_rows(frame: pd.DataFrame, names: Sequence[str]) -> Hashes:
    """Hashes of columns together, without white space at the ends of texts."""
    return _combined([_column(frame[name]) for name in names if name in frame])


def _column(column: pd.Series[Any]) -> Hashes:
    if (texts := arrow.stored_texts(column)) is not None:
        values = arrow.strip(texts).fill_null(repr(None)).to_numpy()
    else:
        values = np.empty(len(column), dtype=object)
        values[:] = [v.strip() if isinstance(v, str) else _written(v) for v in column]
    found: Hashes = hash_array(values, categorize=False)
    return found


def _written(value: Any) -> str:
    """A value as text; the order of labels does not count."""
    return repr(sorted(map(str, value)) if isinstance(value, list) else value)


def _combined(hashes: Sequence[Hashes]) -> Hashes:
    total = np.zeros(len(hashes[0]) if hashes else 0, np.uint64)
    for one in hashes:
        total = (total ^ (total >> np.uint64(29)) ^ one) * MIXER
    return total


def _record(ids: Hashes, inputs: Hashes) -> Hashes:
    return np.where(ids == NO_GROUP, NO_GROUP, _combined([inputs, ids])) if len(ids) else ids


def _keys(frame: pd.DataFrame, name: str) -> Hashes:
    """Hashes of values by what they are to a reader; ``NO_GROUP`` where there is none."""
    if name not in frame:
        return np.empty(0, np.uint64)
    keys = pd.Series([value_key(value) for value in frame[name]], dtype=object)
    hashes = _column(keys)
    hashes[(keys == "").to_numpy()] = NO_GROUP
    return hashes


def value_key(value: Any) -> str:
    """What a value is to a reader, however it is stored; empty if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str) and value.strip() in ABSENT:
        return ""
    return label_key(_written(value) if isinstance(value, list | dict | bytes) else value)
