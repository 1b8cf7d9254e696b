"""What changes rows before they are judged: repair of characters, and placeholders for privacy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import Pipeline
from tasks.applications.base import Application, Rewritten
from tasks.contract import form, rules
from tasks.contract.privacy import Recognizer, Redactor

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

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
        """Where a part is now: the mended beginning is as long as the beginning mended."""
        return len(form.repair(self.old[:start], html=True)), len(
            form.repair(self.old[:end], html=True)
        )


class Rewriter:
    """Mends and redacts the rows of a chunk, as the contract declares.

    Args:
        config: the pipeline.
        application: says which columns hold text, and moves what points into it.
    """

    def __init__(self, config: Pipeline, application: Application) -> None:
        self._contract = config.contract
        self._application = application
        self._texts = list(application.texts(config))
        self._targets = [
            column.name for column in application.columns(config.data) if column.kind == "target"
        ]
        self._values: dict[str, tuple[str, set[str]]] = {}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of private data that are looked for."""
        return rules.private_kinds(self._contract)

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
            self._redact_values(frame, changed)
        return changed

    def private_groups(self, frame: pd.DataFrame) -> set[int]:
        """Index of the rows whose group is private, such as a customer's address."""
        if "group" not in frame or not self.kinds:
            return set()
        return {
            int(index)
            for index, value in zip(frame.index, frame["group"], strict=True)
            if self._value(str(value))[1]
        }

    def _damaged(self, frame: pd.DataFrame) -> list[int]:
        checks = (form.control, form.mojibake, form.html)
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
            mended = form.repair(text, html=True)
            if mended != text:
                rewritten[name] = Repaired(text, mended)
        self._store(frame, index, rewritten)
        if rewritten:
            changed.setdefault(index, set()).add("repair")

    def _redact(self, frame: pd.DataFrame, index: int, changed: Changed) -> None:
        texts = _row_texts(frame, index, self._texts)
        redactor = Redactor(self._recognizer, self.kinds)
        rewritten: dict[str, Rewritten] = {}
        kinds: set[str] = set()
        # What a later text shows to be private is also replaced in the earlier ones.
        for _ in range(2 if len(texts) > 1 else 1):
            rewritten = {name: redactor.redact(text) for name, text in texts.items()}
        kinds = {span.kind for text in texts.values() for span in self._recognizer.find(text)}
        self._store(frame, index, rewritten)
        changed.setdefault(index, set()).update(kinds)

    def _store(self, frame: pd.DataFrame, index: int, rewritten: Mapping[str, Rewritten]) -> None:
        for name in self._targets if rewritten else ():
            if name not in rewritten:
                frame.at[index, name] = self._application.moved(frame.at[index, name], rewritten)
        for name, text in rewritten.items():
            frame.at[index, name] = text.text

    def _redact_values(self, frame: pd.DataFrame, changed: Changed) -> None:
        """Redact targets that are no texts, such as labels."""
        for name in self._targets:
            if name in self._texts or name not in frame:
                continue
            column = frame[name]
            for index, value in zip(column.index, column, strict=True):
                redacted, kinds = self._value(value)
                if kinds:
                    frame.at[index, name] = redacted
                    changed.setdefault(int(index), set()).update(kinds)

    def _value(self, value: Any) -> tuple[Any, set[str]]:
        if isinstance(value, str):
            if value not in self._values:
                found = {span.kind for span in self._recognizer.find(value)}
                redactor = Redactor(self._recognizer, self.kinds)
                if len(self._values) > 10_000:
                    self._values.clear()
                self._values[value] = (redactor.redact(value).text if found else value, found)
            return self._values[value]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            items = [self._value(item) for item in value]
            return [text for text, _ in items], set().union(*(kinds for _, kinds in items))
        return value, set()


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
