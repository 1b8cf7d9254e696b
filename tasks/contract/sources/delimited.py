"""Delimited text: CSV and TSV, plain or gzip, with column names in the first line."""

from __future__ import annotations

import codecs
import csv
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import IO, Any, ClassVar

from configs.errors import DataError, Problem
from tasks.contract.sources import blocks, text_files
from tasks.contract.sources.base import BLOCK_BYTES, Block, FileSource, Rows, Unreadable

ADVICE = "close the quotation mark, double it inside a field, or set data.quotes: false"


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
                raise csv.Error("white space other than blanks before a quotation mark")
        return fields

    def _is_bare(self, field: str) -> bool:
        """Whether a field of the record is without quotation marks around it."""
        mark = re.escape(self._options["delimiter"])
        found = re.search(f"(^|{mark}) *{re.escape(field)}", "".join(self._record), re.MULTILINE)
        return found is not None

    def _counted(self, stream: Iterable[str]) -> Iterator[str]:
        for line in stream:
            self.line_num += 1
            self._record.append(line)
            yield line


def _begins_with_mark(field: str) -> bool:
    """Whether a field begins with a quotation mark after white space."""
    return field[:1].isspace() and field.lstrip()[:1] == '"'


class CommaSeparated(FileSource):
    """A CSV file."""

    delimiter: ClassVar[str] = ","

    def columns(self) -> list[str]:
        with text_files.text(self.path) as stream:
            return self._header(self._reader(stream))

    def rows(self, block: Block | None = None) -> Rows:
        """Each record; one with more or fewer fields than the header cannot be read."""
        with text_files.text(self.path, block) as stream:
            reader = self._reader(stream)
            header = list(block.header) if block else self._header(reader)
            for number, fields in enumerate(filter(None, self._records(reader)), 1):
                if len(fields) == len(header):
                    yield number, dict(zip(header, fields, strict=True))
                else:
                    reason = f"expected {len(header)} fields, found {len(fields)}"
                    yield Unreadable(number, reason, ",".join(fields))

    def lines(self, rows: Collection[int]) -> dict[int, int]:
        with text_files.text(self.path) as stream:
            reader = self._reader(stream)
            self._header(reader)
            return dict(self._lines(reader, rows))

    def _lines(self, reader: Reader, rows: Collection[int]) -> Iterator[tuple[int, int]]:
        number, line = 0, reader.line_num + 1
        for fields in self._records(reader):
            number += bool(fields)
            if fields and number in rows:
                yield number, line
            line = reader.line_num + 1

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Blocks of whole records, as far as quotation marks tell where records end."""
        if blocks.is_divisible(self.path, size):
            delimiter = self.delimiter if self.options.quotes else None
            header = tuple(self.columns())
            yield from blocks.cut(self.path, size, self._header_size(), header, delimiter)

    def _records(self, reader: Reader) -> Iterator[list[str]]:
        while True:
            line = reader.line_num + 1
            try:
                yield next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                where = f"{self.path}:{line}"
                raise DataError(Problem(where, f"not valid CSV: {error}", ADVICE)) from None

    def _reader(self, stream: Iterable[str]) -> Reader:
        return Reader(stream, self.delimiter, quotes=self.options.quotes)

    def _header(self, reader: Reader) -> list[str]:
        where = f"{self.path}:1"
        try:
            header: list[str] = [name.strip() for name in next(reader)]
        except csv.Error as error:
            raise DataError(Problem(where, f"not valid CSV: {error}")) from None
        unnamed = [str(number) for number, name in enumerate(header, 1) if not name]
        if len(unnamed) > 1:
            message = f"columns {', '.join(unnamed)} of the header have no name"
            raise DataError(Problem(where, message, "name them, or delete them in every line"))
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            message = f"the header names {', '.join(repeated)} twice"
            raise DataError(Problem(where, message, "rename one"))
        return header

    def _header_size(self) -> int:
        """Bytes of the line of column names, with its line ending and a byte order mark."""
        lines: list[str] = []

        def kept(stream: IO[str]) -> Iterator[str]:
            for line in stream:
                lines.append(line)
                yield line

        with text_files.text(self.path) as stream:
            next(self._reader(kept(stream)))
        with self.path.open("rb") as raw:
            mark = len(codecs.BOM_UTF8) if raw.read(3) == codecs.BOM_UTF8 else 0
        return mark + sum(len(line.encode()) for line in lines)


class TabSeparated(CommaSeparated):
    """A TSV file."""

    delimiter = "\t"
