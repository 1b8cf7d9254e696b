"""What changes rows before they are judged: repair of characters, and placeholders for privacy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import Pipeline
from tasks.applications.base import Application, Reasons, Rewritten
from tasks.contract.rules import cells, characters
from tasks.contract.rules.privacy import Recognizer, Redactor

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_KNOWN = 10_000
Changed = dict[int, set[str]]
"""By row index, what was done: ``repair`` or kinds of private data."""


@dataclass(frozen=True)
class Repaired:
    """A text whose characters were mended.

    Attributes:
        old: the text as it was.
        text: the mended text.
    """

    old: str
    text: str

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part is now: after as much as the beginning is when it is mended alone.

        What is damaged in a beginning may be sound in the whole; then nothing points at the part.
        """
        first, last = (len(characters.repair(self.old[:at], html=True)) for at in (start, end))
        same = self.text[first:last] == characters.repair(self.old[start:end], html=True)
        return (first, last) if same else (-1, -1)


class Rewriter:
    """Mends and redacts the rows of a chunk, as the contract declares.

    Args:
        config: the pipeline.
        application: says which columns hold text, and moves what points into it.
    """

    def __init__(self, config: Pipeline, application: Application) -> None:
        self._contract = config.contract
        self._application = application
        self._texts = list(application.rows.texts(config))
        self._targets = [
            column.name
            for column in application.rows.columns(config.data)
            if column.kind == "target"
        ]
        self._known: dict[str, set[str]] = {}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of private data that are looked for."""
        return cells.private_kinds(self._contract)

    @cached_property
    def _recognizer(self) -> Recognizer:
        return Recognizer(self.kinds, self._contract.privacy.countries)

    def apply(self, frame: pd.DataFrame) -> Changed:
        """Rewrite texts and targets in place."""
        changed: Changed = {}
        if self._contract.repair:
            for index in self._damaged(frame):
                self._repair(frame, index, changed)
        if self.kinds:
            for index in self._private(frame):
                self._redact(frame, index, changed)
        return changed

    def private_targets(self, frame: pd.DataFrame) -> Reasons:
        """Rows whose label is private: with a placeholder, it would be another label."""
        found: Reasons = {}
        for name in self._targets if self.kinds else ():
            if name in self._texts or name not in frame:
                continue
            for index, value in zip(frame.index, frame[name], strict=True):
                if kinds := self._kinds_in(value):
                    words = f"{name}: private data: {', '.join(sorted(kinds))}"
                    found[int(index)] = [("private_label", words)]
        return found

    def private_groups(self, frame: pd.DataFrame) -> set[int]:
        """Index of the rows whose group is private, such as a customer's address."""
        if "group" not in frame or not self.kinds:
            return set()
        return {
            int(index)
            for index, value in zip(frame.index, frame["group"], strict=True)
            if self._kinds_in(str(value))
        }

    def _damaged(self, frame: pd.DataFrame) -> list[int]:
        checks = (characters.control, characters.mojibake, characters.html)
        return self._rows(frame, lambda texts: np.logical_or.reduce([c(texts) for c in checks]))

    def _private(self, frame: pd.DataFrame) -> list[int]:
        find = self._recognizer.masks
        return self._rows(frame, lambda texts: np.logical_or.reduce(list(find(texts).values())))

    def _rows(self, frame: pd.DataFrame, check: Any) -> list[int]:
        """Index of each row of which a text column fails a check."""
        masks = [check(arrow_texts(frame[name])) for name in self._texts if name in frame]
        hit = np.logical_or.reduce(masks) if masks else np.zeros(len(frame), dtype=bool)
        return [int(index) for index in frame.index[hit]]

    def _repair(self, frame: pd.DataFrame, index: int, changed: Changed) -> None:
        rewritten: dict[str, Rewritten] = {}
        for name, text in _row_texts(frame, index, self._texts).items():
            mended = characters.repair(text, html=True)
            if mended != text:
                rewritten[name] = Repaired(text, mended)
        self._store(frame, index, rewritten)
        if rewritten:
            changed.setdefault(index, set()).add("repair")

    def _redact(self, frame: pd.DataFrame, index: int, changed: Changed) -> None:
        texts = _row_texts(frame, index, self._texts)
        redactor = Redactor(self._recognizer, self.kinds)
        rewritten: dict[str, Rewritten] = {}
        # What a later text shows to be private is also replaced in the earlier ones.
        for _ in range(2 if len(texts) > 1 else 1):
            rewritten = {name: redactor.redact(text) for name, text in texts.items()}
        kinds = {span.kind for text in texts.values() for span in self._recognizer.find(text)}
        self._store(frame, index, rewritten)
        changed.setdefault(index, set()).update(kinds)

    def _store(self, frame: pd.DataFrame, index: int, rewritten: Mapping[str, Rewritten]) -> None:
        for name in self._targets if rewritten else ():
            if name not in rewritten:
                frame.at[index, name] = self._application.rows.realign(
                    frame.at[index, name], rewritten
                )
        for name, text in rewritten.items():
            frame.at[index, name] = text.text

    def _kinds_in(self, value: Any) -> set[str]:
        """Kinds of private data in a value that is no text, such as a label."""
        if isinstance(value, list):
            return set().union(*map(self._kinds_in, value))
        if not isinstance(value, str):
            return set()
        if value not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[value] = {span.kind for span in self._recognizer.find(value)}
        return self._known[value]


def arrow_texts(column: pd.Series[Any]) -> pa.Array:
    """A column as Arrow strings; null where there is no text."""
    import pyarrow as pa

    values = [value if isinstance(value, str) else None for value in column]
    return pa.array(values, pa.large_string())


def _row_texts(frame: pd.DataFrame, index: int, names: Iterable[str]) -> dict[str, str]:
    found = {name: frame.at[index, name] for name in names if name in frame}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def tally(changed: Changed) -> Counter[str]:
    """Rows that were repaired, and rows that were redacted."""
    repaired = sum("repair" in done for done in changed.values())
    redacted = sum(bool(done - {"repair"}) for done in changed.values())
    return Counter(repaired=repaired, redacted=redacted)
