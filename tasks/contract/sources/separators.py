"""Tell what separates the fields of delimited text, by its column names and first rows."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from configs.language import english

NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""What may be detected."""
PHRASES: Final = {
    ",": english("separated by commas"),
    ";": english("separated by semicolons"),
    "\t": english("separated by tabs"),
    "|": english("separated by vertical bars"),
}
MOST_RECORDS: Final = 200
MOST_CHARACTERS: Final = 200_000
MARGIN: Final = 0.1
"""Two separators by which about as many rows have their fields are both possible."""
DECLARATION: Final = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
"""The first line that Excel takes as the separator, and others write for it."""


class Reader:
    """Reads records as ``csv.reader`` does; blanks before the quotation mark that opens a field are
    no part of it.

    The option ``skipinitialspace`` would also take the blanks off fields without quotation marks,
    so only a record with such a mark is read again with it.
    """

    def __init__(self, stream: Iterable[str], delimiter: str, *, quotes: bool = True) -> None:
        csv.field_size_limit(sys.maxsize)
        quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
        self.line_num = 0
        self._quotes = quotes
        self._record: list[str] = []
        self._lines = self._counted(stream)
        self._options: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting}
        self._fields = csv.reader(self._lines, strict=quotes, **self._options)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self._record.clear()
        fields = next(self._fields)
        if self._quotes and any(map(_begins_with_mark, fields)):
            lines = chain(list(self._record), self._lines)
            fields = next(csv.reader(lines, strict=True, skipinitialspace=True, **self._options))
            if any(self._is_bare(field) for field in fields if _begins_with_mark(field)):
                raise csv.Error(english("white space other than blanks before a quotation mark"))
        return fields

    def _is_bare(self, field: str) -> bool:
        """Whether a field of the record is without quotation marks around it."""
        mark = re.escape(self._options["delimiter"])
        found = re.search(f"(^|{mark}) *{re.escape(field)}", "".join(self._record), re.MULTILINE)
        return found is not None

    def skip_line(self) -> None:
        """Leave the next line out."""
        next(self._lines, None)

    def _counted(self, stream: Iterable[str]) -> Iterator[str]:
        for line in stream:
            self.line_num += 1
            self._record.append(line)
            yield line


def _begins_with_mark(field: str) -> bool:
    """Whether a field begins with a quotation mark after white space."""
    return field[:1].isspace() and field.lstrip()[:1] == '"'


@dataclass(frozen=True, slots=True)
class Separator:
    """What separates fields.

    Attributes:
        line: whether the first line of the file only names it.
        others: characters that fit as well, if it is not clear.
    """

    delimiter: str
    line: bool = False
    others: tuple[str, ...] = ()


def name_of(delimiter: str) -> str:
    """A separator in words: ``separated by semicolons``."""
    return PHRASES.get(delimiter) or english("separated by {mark!r}", mark=delimiter)


def detect(stream: Iterable[str], own: str, *, quotes: bool) -> Separator:
    """The separator of delimited text; the format's ``own`` where none divides the names.

    The one that divides the column names is right; of several, the one by which every row has as
    many fields as there are names.
    """
    lines = list(_first_lines(stream))
    if lines and (found := DECLARATION.fullmatch(lines[0])):
        return Separator(found[1], line=True)
    fits = {one: _fit(lines, one, quotes) for one in (own, *(n for n in NAMES if n != own))}
    dividing = {one: fit for one, fit in fits.items() if fit is not None}
    if len(dividing) < 2:
        return Separator(next(iter(dividing), own))
    best = max(dividing.values())
    first, *others = [one for one, fit in dividing.items() if fit > best - MARGIN]
    return Separator(first, others=tuple(others))


def _first_lines(stream: Iterable[str]) -> Iterator[str]:
    """Lines of about the first records; line endings decide nothing."""
    size = 0
    for line in stream:
        yield line
        size += len(line)
        if size > MOST_CHARACTERS:
            return


def _fit(lines: Sequence[str], delimiter: str, quotes: bool) -> float | None:
    """The share of rows with as many fields as column names; None if it divides no names."""
    reader = Reader(lines, delimiter, quotes=quotes)
    try:
        header = next(reader, [])
    except csv.Error:
        return None
    # A quotation mark that is left belongs to a field which another separator ends.
    if len(header) < 2 or (quotes and any('"' in name for name in header)):
        return None
    same = total = 0
    try:
        for record in islice(filter(None, reader), MOST_RECORDS):
            total += 1
            same += len(record) == len(header)
    except csv.Error:
        # Also the end of the lines inside a field.
        pass
    return same / total if total else 1.0
