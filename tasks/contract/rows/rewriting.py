"""Changes to rows before they are checked: repaired characters, placeholders for private data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import Pipeline
from tasks import arrow
from tasks.applications.base import Application, Reasons
from tasks.applications.rows import RewrittenText
from tasks.contract.rules import cells, characters
from tasks.contract.rules.privacy import Recognizer
from tasks.contract.rules.redaction import Redactor

MOST_KNOWN = 10_000
REPAIR = "repair"
Changes = dict[int, set[str]]
"""By row index: ``repair``, or the kinds of private data that were replaced."""
Rewrite = Callable[[Mapping[str, str]], tuple[dict[str, RewrittenText], set[str]]]
"""From the texts of a row to the rewritten ones, and the changes."""


@dataclass(frozen=True)
class RepairedText:
    """An old text, and the same text with repaired characters."""

    old: str
    text: str

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the old text to the new one; ``(-1, -1)`` if it cannot be mapped.

        A span begins where the repaired text before it ends. A repair of the whole text may differ
        from repairs of its parts, so the result is compared with the repaired span.
        """
        first, last = (len(characters.repair(self.old[:at])) for at in (start, end))
        same = self.text[first:last] == characters.repair(self.old[start:end])
        return (first, last) if same else (-1, -1)


class Rewriter:
    """Repairs and redacts rows as the contract declares; the application realigns targets."""

    def __init__(self, config: Pipeline, application: Application) -> None:
        self._contract = config.contract
        self._application = application
        self._texts = list(application.rows.texts(config))
        columns = application.rows.columns(config.data)
        self._targets = [column.name for column in columns if column.kind == "target"]
        self._known: dict[str, set[str]] = {}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of private data that are looked for."""
        return cells.private_kinds(self._contract)

    @cached_property
    def _recognizer(self) -> Recognizer:
        return Recognizer(self.kinds, self._contract.privacy.countries)

    def apply(self, frame: pd.DataFrame) -> Changes:
        """Rewrite texts and targets in place."""
        changes: Changes = {}
        if self._contract.repair:
            self._rewrite(frame, self._damaged(frame), self._repair, changes)
        if self.kinds:
            self._rewrite(frame, self._private(frame), self._redact, changes)
        return changes

    def private_targets(self, frame: pd.DataFrame) -> Reasons:
        """Rows with private data in the label; with a placeholder it would be another label."""
        found: Reasons = {}
        for name in self._targets if self.kinds else ():
            if name in self._texts or name not in frame:
                continue
            for index, value in zip(frame.index, frame[name], strict=True):
                if kinds := self._kinds_in(value):
                    words = f"{name}: private data: {', '.join(sorted(kinds))}"
                    found[int(index)] = [("private_label", words)]
        return found

    def private_keys(self, frame: pd.DataFrame) -> set[int]:
        """Indexes of rows with private data in the group or id, such as a customer's address."""
        if not self.kinds:
            return set()
        return {
            int(index)
            for name in ("group", "id")
            if name in frame
            for index, value in zip(frame.index, frame[name], strict=True)
            if self._kinds_in(str(value))
        }

    def _damaged(self, frame: pd.DataFrame) -> list[int]:
        checks = (characters.control, characters.mojibake, characters.html)
        return self._rows(frame, lambda texts: np.logical_or.reduce([c(texts) for c in checks]))

    def _private(self, frame: pd.DataFrame) -> list[int]:
        find = self._recognizer.masks
        return self._rows(frame, lambda texts: np.logical_or.reduce(list(find(texts).values())))

    def _rows(self, frame: pd.DataFrame, check: Any) -> list[int]:
        """Indexes of rows of which a text column fails a check."""
        masks = [check(arrow.texts_of(frame[name])) for name in self._texts if name in frame]
        hit = np.logical_or.reduce(masks) if masks else np.zeros(len(frame), dtype=bool)
        return [int(index) for index in frame.index[hit]]

    def _rewrite(
        self, frame: pd.DataFrame, rows: Iterable[int], rewrite: Rewrite, changes: Changes
    ) -> None:
        new: dict[str, dict[int, str]] = defaultdict(dict)
        for index in rows:
            rewritten, done = rewrite(_row_texts(frame, index, self._texts))
            if done:
                changes.setdefault(index, set()).update(done)
            for name in self._targets if rewritten else ():
                if name not in rewritten:
                    target = self._application.rows.realign(frame.at[index, name], rewritten)
                    frame.at[index, name] = target
            for name, one in rewritten.items():
                new[name][index] = one.text
        # All rows at once, since each assignment copies an Arrow column.
        for name, texts in new.items():
            frame.loc[list(texts), name] = list(texts.values())

    def _repair(self, texts: Mapping[str, str]) -> tuple[dict[str, RewrittenText], set[str]]:
        repaired = {name: characters.repair(text) for name, text in texts.items()}
        rewritten: dict[str, RewrittenText] = {
            name: RepairedText(text, repaired[name])
            for name, text in texts.items()
            if repaired[name] != text
        }
        return rewritten, {REPAIR} if rewritten else set()

    def _redact(self, texts: Mapping[str, str]) -> tuple[dict[str, RewrittenText], set[str]]:
        redactor = Redactor(self._recognizer, self.kinds)
        rewritten: dict[str, RewrittenText] = {}
        # The second time, values that were found in later texts are replaced in earlier ones.
        for _ in range(2 if len(texts) > 1 else 1):
            rewritten = {name: redactor.redact(text) for name, text in texts.items()}
        found = (self._recognizer.find(text) for text in texts.values())
        return rewritten, {span.kind for spans in found for span in spans}

    def _kinds_in(self, value: Any) -> set[str]:
        """Kinds of private data in a value such as a label."""
        if isinstance(value, list):
            return set().union(*map(self._kinds_in, value))
        if not isinstance(value, str):
            return set()
        if value not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[value] = {span.kind for span in self._recognizer.find(value)}
        return self._known[value]


def _row_texts(frame: pd.DataFrame, index: int, names: Iterable[str]) -> dict[str, str]:
    found = {name: frame.at[index, name] for name in names if name in frame}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def count(changed: Changes) -> Counter[str]:
    """Rows that were repaired, and rows that were redacted."""
    repaired = sum(REPAIR in done for done in changed.values())
    redacted = sum(bool(done - {REPAIR}) for done in changed.values())
    return Counter(repaired=repaired, redacted=redacted)
