"""Replace personal data and secrets by placeholders."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tasks.contract.rules.privacy import Recognizer, Span, blank
from tasks.contract.rules.privacy_patterns import PLACEHOLDER, fold


class Replacement(NamedTuple):
    """Offsets of a value in the old text, and of its placeholder in the new one."""

    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class RedactedText:
    """A text with placeholders, the old text, and what was replaced, in order."""

    text: str
    replacements: tuple[Replacement, ...] = ()
    old: str = ""

    def position(self, old: int) -> int:
        """Map an offset in the old text to the new one; within a value, to the placeholder."""
        index = bisect_right(self.replacements, old, key=lambda one: one.start) - 1
        if index < 0:
            return old
        replacement = self.replacements[index]
        if old < replacement.end:
            return replacement.new_start
        return old - replacement.end + replacement.new_end

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the old text to the new one; it contains whole placeholders."""
        last = next((p for p in self.replacements if p.start < end <= p.end and end > start), None)
        return self.position(start), last.new_end if last else self.position(end)


class Redactor:
    """Replaces the ``kinds`` of values that a recognizer finds in the texts of one row.

    A value has the same placeholder, such as ``[EMAIL_1]``, in every text of the row. A value
    that was found in one text is also replaced in later texts, where its context may not show
    what it is.
    """

    def __init__(self, recognizer: Recognizer, kinds: Collection[str]) -> None:
        self._recognizer = recognizer
        self._kinds = frozenset(kinds)
        self._placeholders: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._known: dict[str, str] = {}

    def redact(self, text: str) -> RedactedText:
        # Numbers of placeholders from an earlier redaction are not given again.
        for name, number in PLACEHOLDER.findall(text):
            self._numbers[name] = max(self._numbers[name], int(number))
        folded = fold(text)
        found = self._recognizer.find(text)
        spans = [span for span in found if span.kind in self._kinds]
        self._known |= {folded[span.start : span.end]: span.kind for span in spans}
        spans += self._repeated(blank(folded, found))
        return self._replace(text, folded, sorted(spans, key=lambda span: span.start))

    def _repeated(self, folded: str) -> Iterator[Span]:
        if not self._known:
            return
        values = "|".join(re.escape(value) for value in sorted(self._known, key=len, reverse=True))
        for match in re.finditer(f"(?<![A-Za-z0-9])(?:{values})(?![A-Za-z0-9])", folded):
            yield Span(self._known[match[0]], *match.span())

    def _replace(self, text: str, folded: str, spans: Iterable[Span]) -> RedactedText:
        parts: list[str] = []
        replacements: list[Replacement] = []
        old = new = 0
        for span in spans:
            placeholder = self._placeholder(span.kind, folded[span.start : span.end])
            new += span.start - old
            replacements.append(Replacement(span.start, span.end, new, new + len(placeholder)))
            parts += [text[old : span.start], placeholder]
            old, new = span.end, new + len(placeholder)
        return RedactedText("".join([*parts, text[old:]]), tuple(replacements), text)

    def _placeholder(self, kind: str, value: str) -> str:
        key = kind, _identity(kind, value)
        if key not in self._placeholders:
            name = kind.upper()
            self._numbers[name] += 1
            self._placeholders[key] = f"[{name}_{self._numbers[name]}]"
        return self._placeholders[key]


def _identity(kind: str, value: str) -> str:
    """The same text for every way to write a value."""
    if kind == "secret":
        return value
    if kind in ("email", "ip_address"):
        return value.lower()
    return re.sub("[^0-9A-Z]", "", value.upper())
