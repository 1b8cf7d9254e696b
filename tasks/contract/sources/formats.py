"""File formats by the ending of the name: built in, of an application, of installed packages."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from configs.errors import DataError
from configs.language import english
from tasks.contract.sources.base import FileSource, Options
from tasks.contract.sources.delimited import CommaSeparated, TabSeparated
from tasks.contract.sources.json_files import JsonDocument, JsonLines
from tasks.contract.sources.parquet import Parquet
from tasks.contract.sources.text_files import STDIN
from tasks.contract.sources.workbooks import Workbook
from tasks.extensions import Extensions

Formats: TypeAlias = Mapping[str, type[FileSource]]
"""Sources by ending, without the dot."""

FORMATS: Final[Extensions[type[FileSource]]] = Extensions(
    "onestep.sources",
    {
        "csv": CommaSeparated,
        "tsv": TabSeparated,
        "json": JsonDocument,
        "jsonl": JsonLines,
        "ndjson": JsonLines,
        "parquet": Parquet,
        "xlsx": Workbook,
        "xlsm": Workbook,
    },
)
NONE: Final[Formats] = MappingProxyType({})
FIRST_BYTES: Final = {b"{": "jsonl", b"[": "json"}
"""Format of standard input by its first byte after a byte order mark; others are CSV."""
ZIP: Final = b"PK\x03\x04"
"""The first bytes of a workbook."""
MARKS: Final = b"\xef\xbb\xbf\xfe\xff\0"
"""Bytes of which byte order marks consist, and the zeros of UTF-16."""


def names(own: Formats = NONE) -> list[str]:
    """Endings of all formats, sorted."""
    return sorted({*own, *FORMATS.names()})


def ending_of(path: Path) -> str:
    """The ending of a file's name in lower case, ``.gz`` ignored."""
    _, dot, ending = path.name.lower().removesuffix(".gz").rpartition(".")
    return ending if dot else ""


def format_of(path: Path, own: Formats = NONE) -> str:
    """The format of a file by its name; of standard input by its first bytes.

    Raises:
        DataError: no format has the ending of the name.
    """
    if path == STDIN:
        head = cast(io.BufferedReader, sys.stdin.buffer).peek(1)
        if head.startswith(ZIP):
            return "xlsx"
        return FIRST_BYTES.get(head.lstrip(MARKS)[:1], "csv")
    known = names(own)
    if (ending := ending_of(path)) in known:
        return ending
    more = [name for name in known if name not in FORMATS.built_in]
    installed = "".join(f", or .{name}" for name in more)
    expected = english(
        "expected CSV, TSV, JSON, JSONL, Parquet or XLSX, each also .gz{installed}",
        installed=installed,
    )
    raise DataError.at(path, expected, english("name the file after its format"))


def open_file(path: Path, options: Options | None = None, own: Formats = NONE) -> FileSource:
    """The source that reads a file; an application may have its ``own`` formats.

    Raises:
        DataError: no format has the ending of the name.
    """
    name = format_of(path, own)
    kind = own[name] if name in own else FORMATS.load(name)
    return kind(path, options)
