"""Delimited text: CSV and TSV, plain or gzip, with column names in the first line."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import IO, ClassVar

from configs.errors import DataError
from configs.language import english
from tasks.contract.sources import blocks, separators
from tasks.contract.sources.base import BLOCK_BYTES, Block, Row, Rows, Unreadable, is_empty
from tasks.contract.sources.separators import DECLARATION, NAMES, Reader, Separator
from tasks.contract.sources.text_files import TextFile

ADVICE = english("close the quotation mark, double it inside a field, or set data.quotes: false")


class CommaSeparated(TextFile):
    """A CSV file, whose separator is detected unless it is declared."""

    own_delimiter: ClassVar[str] = ","
    has_empty_rows = True

    @cached_property
    def separator(self) -> Separator:
        """What separates the fields.

        Raises:
            DataError: it is not clear.
        """
        declared, options = self.options.delimiter, self.options
        with self.text() as stream:
            if declared and not options.usual_layout:
                return Separator(declared, DECLARATION.fullmatch(stream.readline()) is not None)
            found = separators.detect(stream, self._default, quotes=options.quotes)
        fitting = (found.delimiter, *found.others)
        if found.others and declared not in fitting:
            names = " as well as by ".join(NAMES[one] for one in fitting)
            choice = " or ".join(f"data.delimiter: {json.dumps(one)}" for one in fitting)
            message = english("its columns can be divided by {names}", names=names)
            raise DataError.at(f"{self.path}:1", message, english("set {choice}", choice=choice))
        return Separator(str(declared)) if found.others else found

    @property
    def _default(self) -> str:
        """The separator of one column: that of other files, unless the format has its own."""
        is_open = self.own_delimiter == CommaSeparated.own_delimiter
        return (self.options.delimiter if is_open else None) or self.own_delimiter

    @property
    def delimiter(self) -> str:
        """The character between fields."""
        return self.separator.delimiter

    def reading(self) -> dict[str, str]:
        return {**super().reading(), "delimiter": self.delimiter}

    def columns(self) -> list[str]:
        with self.text() as stream:
            return self._header(self._reader(stream))

    def rows(self, block: Block | None = None) -> Rows:
        """Each record; one with more or fewer fields than the header cannot be read."""
        with self.text(block) as stream:
            reader = self._reader(stream, skip=block is None)
            header = list(block.header) if block else self._header(reader)
            for number, fields in enumerate(filter(None, self._records(reader)), 1):
                if len(fields) == len(header):
                    yield number, dict(zip(header, fields, strict=True))
                elif is_empty(fields):
                    yield number, dict.fromkeys(header, "")
                else:
                    reason = english(
                        "expected {header} fields, found {fields}",
                        header=len(header),
                        fields=len(fields),
                    )
                    yield Unreadable(number, reason, self.delimiter.join(fields))

    def find(self, rows: Collection[int]) -> Iterator[tuple[int, int, Row]]:
        with self.text() as stream:
            reader = self._reader(stream)
            header = self._header(reader)
            number, line = 0, reader.line_num + 1
            for fields in self._records(reader):
                number += bool(fields)
                if number in rows and len(fields) == len(header):
                    yield number, line, dict(zip(header, fields, strict=True))
                line = reader.line_num + 1

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Blocks of whole records, as far as quotation marks tell where records end."""
        if blocks.is_divisible(self.path, size) and self._has_plain_bytes():
            delimiter = self.delimiter if self.options.quotes else None
            header = tuple(self.columns())
            if start := self._header_size():
                yield from blocks.cut(self.path, size, start, header, delimiter)

    def _has_plain_bytes(self) -> bool:
        """Whether bytes of separators, quotation marks and line breaks are nothing else."""
        if self.encoding.name == "utf-8":
            return self.delimiter.isascii()
        # In encodings of several bytes, a later one may be any from "0" on.
        return self.encoding.keeps_ascii and self.delimiter in ",;\t"

    def _records(self, reader: Reader) -> Iterator[list[str]]:
        while True:
            line = reader.line_num + 1
            try:
                yield next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                where = f"{self.path}:{line}"
                raise DataError.at(
                    where, english("not valid CSV: {error}", error=error), ADVICE
                ) from None

    def _reader(self, stream: IO[str] | Iterator[str], *, skip: bool = True) -> Reader:
        """Reads the lines of the file; a first line that names the separator is no record."""
        reader = Reader(stream, self.delimiter, quotes=self.options.quotes)
        if skip and self.separator.line:
            reader.skip_line()
        return reader

    def _header(self, reader: Reader) -> list[str]:
        where = f"{self.path}:{1 + self.separator.line}"
        try:
            header: list[str] = [name.strip() for name in next(reader)]
        except csv.Error as error:
            raise DataError.at(where, english("not valid CSV: {error}", error=error)) from None
        unnamed = [str(number) for number, name in enumerate(header, 1) if not name]
        if len(unnamed) > 1:
            message = english(
                "columns {unnamed} of the header have no name", unnamed=", ".join(unnamed)
            )
            raise DataError.at(where, message, english("name them, or delete them in every line"))
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            message = english("the header names {repeated} twice", repeated=", ".join(repeated))
            raise DataError.at(where, message, english("rename one"))
        return header

    def _header_size(self) -> int:
        """Bytes before the first record; 0 if they cannot be told."""
        lines: list[str] = []

        def kept(stream: IO[str]) -> Iterator[str]:
            for line in stream:
                lines.append(line)
                yield line

        with self.text() as stream:
            next(self._reader(kept(stream)))
        written = "".join(lines).encode(self.encoding.name, "replace")
        mark = self.encoding.mark
        with self.path.open("rb") as raw:
            raw.seek(mark)
            return mark + len(written) if raw.read(len(written)) == written else 0


class TabSeparated(CommaSeparated):
    """A TSV file."""

    own_delimiter = "\t"
