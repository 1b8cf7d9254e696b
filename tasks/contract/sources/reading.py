"""Read labelled files: CSV, TSV, JSON, JSONL and Parquet, plain or gzip, and hub data sets.

Rows are numbered from 1, the header not counted. A row that cannot be parsed does not end the
reading: it comes back as :class:`Unreadable`.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from configs.errors import DataError, Problem
from tasks.contract.sources import squad

FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
WRONG_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
ENDING = re.compile(r"\.(csv|tsv|json|jsonl|ndjson|parquet)(\.gz)?$")
STDIN = Path("-")
GZIP = b"\x1f\x8b"
HEAD = 4096
LONGEST_NAME, MOST_WORDS, MOST_NAMES = 40, 4, 12
ONE_A_LINE = "a file with one JSON object a line is JSONL; rename it to .jsonl"
SUPPORTED = "CSV, TSV, JSON, JSONL or Parquet, each also .gz"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not be parsed.

    Attributes:
        row: its number.
        reason: what is wrong with it.
        raw: its text, for the quarantine only.
    """

    row: int
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines of a file.

    Attributes:
        start: offset of the first byte.
        stop: offset after the last byte.
        header: column names, which stand before the first block.
    """

    start: int
    stop: int
    header: tuple[str, ...] = ()


Row = dict[str, Any]
Rows = Iterator[tuple[int, Row] | Unreadable]


def names(columns: Iterable[str]) -> str:
    """Column names for a message; without a header line they are text of a row, and not shown."""
    found = list(columns)
    shown = [
        repr(name) if _is_name(name) else f"a name of {len(name)} characters"
        for name in found[:MOST_NAMES]
    ]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _is_name(text: str) -> bool:
    from tasks.contract.rules.privacy import KINDS, Recognizer

    short = len(text) <= LONGEST_NAME and len(text.split()) <= MOST_WORDS
    return short and not Recognizer(KINDS).find(text)


def expand(patterns: Sequence[str], folder: Path) -> list[Path]:
    """Resolve file names and globs, sorted within each glob.

    Raises:
        DataError: a name that no file has.
    """
    files: list[Path] = []
    problems = []
    for pattern in patterns:
        # A name is taken literally first: it may contain brackets, and so may the folder.
        literal = (folder / pattern).exists()
        found = [pattern] if literal else glob.glob(pattern, root_dir=folder, recursive=True)
        files += [folder / name for name in sorted(found)]
        if not found:
            problems.append(
                Problem(str(folder / pattern), "no such file", _nearest(folder, pattern))
            )
    if problems:
        raise DataError(problems)
    return list(dict.fromkeys(files))


def _nearest(folder: Path, pattern: str) -> str:
    import difflib

    parent = (folder / pattern).parent
    if not parent.is_dir():
        return f"there is no folder {parent}"
    others = {p.stem: p for p in parent.iterdir() if ENDING.search(p.name)}
    near = difflib.get_close_matches(Path(pattern).stem, others, 1)
    return f"did you mean {others[near[0]]}?" if near else "file names are relative to the YAML"


def format_of(path: Path) -> str:
    """The format by file name, ``.gz`` ignored.

    Raises:
        DataError: a name that ends in none of the supported ways.
    """
    if path == STDIN:
        head = cast(io.BufferedReader, sys.stdin.buffer).peek(1)[:1]
        return {b"{": ".jsonl", b"[": ".json"}.get(head, ".csv")
    name = path.name.lower().removesuffix(".gz")
    for ending in FORMATS:
        if name.endswith(ending):
            return ending
    raise DataError(Problem(str(path), f"expected {SUPPORTED}", "rename it to its format"))


def columns_of(path: Path, *, quotes: bool = True) -> list[str]:
    """The column names of a file (of its first row, for JSON and JSONL).

    Raises:
        DataError: the file is empty or not of its format.
    """
    kind = format_of(path)
    if kind == ".parquet":
        return list(_parquet(path).schema_arrow.names)
    with _text(path) as stream:
        if kind in (".csv", ".tsv"):
            return _header(path, _csv_reader(stream, kind, quotes))
    for item in read(path, quotes=quotes):
        if not isinstance(item, Unreadable):
            return list(item[1])
    expected = "a list of JSON objects" if kind == ".json" else "one JSON object a line"
    raise DataError(Problem(str(path), f"expected {expected}, found none that parses"))


def header_size(path: Path, *, quotes: bool = True) -> int:
    """Bytes of the line of column names in CSV and TSV, its line break included."""
    lines: list[str] = []

    def kept(stream: IO[str]) -> Iterator[str]:
        for line in stream:
            lines.append(line)
            yield line

    with _text(path) as stream:
        next(_csv_reader(kept(stream), format_of(path), quotes))
    with path.open("rb") as raw:
        mark = len(codecs.BOM_UTF8) if raw.read(3) == codecs.BOM_UTF8 else 0
    return mark + sum(len(line.encode()) for line in lines)


def read(path: Path, *, quotes: bool = True, block: Block | None = None) -> Rows:
    """Stream the rows of one file, or of one block of it.

    Raises:
        DataError: the file is empty, binary, not UTF-8 or not of its format.
    """
    readers: dict[str, Callable[[Path, bool, Block | None], Rows]] = {
        ".csv": _read_delimited,
        ".tsv": _read_delimited,
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".parquet": _read_parquet,
    }
    return readers[format_of(path)](path, quotes, block)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if path == STDIN:
        # Peeking at the format has filled this very buffer; a second reader would miss it.
        yield cast(io.BufferedReader, sys.stdin.buffer)
    else:
        with path.open("rb") as raw:
            yield raw


@contextmanager
def _binary(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input for ``-``, and unzip it if it is zipped."""
    try:
        with _opened(path) as raw:
            if raw.peek(2)[:2] == GZIP:
                with gzip.open(raw, "rb") as zipped:
                    yield io.BufferedReader(cast(io.RawIOBase, zipped))
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(Problem(str(path), "the gzip data is damaged or cut off")) from None
    except OSError as error:
        raise DataError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from None


@contextmanager
def _text(path: Path, block: Block | None = None) -> Iterator[IO[str]]:
    with _binary(path) as stream:
        if block:
            stream.seek(block.start)
            part = io.BytesIO(stream.read(block.stop - block.start))
            with _decoded(path):
                encoding = "utf-8" if block.start else "utf-8-sig"
                yield io.TextIOWrapper(part, encoding=encoding, newline="")
            return
        _refuse_binary(path, stream.peek(HEAD)[:HEAD])
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            with _decoded(path):
                yield text
        finally:
            text.detach()


@contextmanager
def _decoded(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found byte 0x{error.object[error.start]:02x}"
        raise DataError(Problem(str(path), message, "convert it to UTF-8")) from None


def _refuse_binary(path: Path, head: bytes) -> None:
    if not head.strip():
        raise DataError(Problem(str(path), "the file is empty"))
    for mark, name in WRONG_ENCODINGS.items():
        if head.startswith(mark):
            raise DataError(Problem(str(path), f"expected UTF-8, found {name}", "convert it"))
    if b"\0" in head:
        raise DataError(Problem(str(path), "expected UTF-8 text, found binary data"))


def _csv_reader(stream: Iterable[str], kind: str, quotes: bool) -> Any:
    csv.field_size_limit(sys.maxsize)
    return csv.reader(
        stream,
        delimiter="\t" if kind == ".tsv" else ",",
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=quotes,
    )


def _header(path: Path, reader: Any) -> list[str]:
    try:
        header: list[str] = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise DataError(Problem(f"{path}:1", f"not valid CSV: {error}")) from None
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(Problem(f"{path}:1", f"the header names {', '.join(repeated)} twice"))
    return header


def _read_delimited(path: Path, quotes: bool, block: Block | None) -> Rows:
    with _text(path, block) as stream:
        reader = _csv_reader(stream, format_of(path), quotes)
        header = list(block.header) if block else _header(path, reader)
        number = 0
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                advice = (
                    "close the quotation mark, double it inside a field, or set data.quotes: false"
                )
                raise DataError(
                    Problem(f"{path}:{line}", f"not valid CSV: {error}", advice)
                ) from None
            if not fields:
                continue
            number += 1
            if len(fields) == len(header):
                yield number, dict(zip(header, fields, strict=True))
            else:
                reason = f"expected {len(header)} fields, found {len(fields)}"
                yield Unreadable(number, reason, ",".join(fields))


def _read_json_lines(path: Path, quotes: bool, block: Block | None) -> Rows:
    with _text(path, block) as stream:
        number = 0
        for line in stream:
            if not line.strip():
                continue
            number += 1
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield Unreadable(number, "not valid JSON", line.rstrip("\r\n"))
                continue
            if "\\u" in line and not _is_unicode(row):
                yield Unreadable(number, "half of a surrogate pair", line.rstrip("\r\n"))
            elif isinstance(row, dict):
                yield number, row
            else:
                yield Unreadable(number, "expected a JSON object", line.rstrip("\r\n"))


def _read_json(path: Path, quotes: bool, block: Block | None) -> Rows:
    """Read a list of objects, an object with such a list as ``data``, or SQuAD's layout."""
    with _text(path) as stream:
        text = stream.read()
    escaped = "\\u" in text
    for number, row in enumerate(_json_records(path, text), 1):
        if not isinstance(row, dict):
            yield Unreadable(number, "expected a JSON object", json.dumps(row))
        elif escaped and not _is_unicode(row):
            yield Unreadable(number, "half of a surrogate pair", json.dumps(row))
        else:
            yield number, row


def _json_records(path: Path, text: str) -> list[Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        advice = ONE_A_LINE if error.msg == "Extra data" else ""
        raise DataError(Problem(where, f"not valid JSON: {error.msg}", advice)) from None
    except (ValueError, RecursionError):
        raise DataError(Problem(str(path), "not valid JSON")) from None
    records = document.get("data") if isinstance(document, dict) else document
    if not isinstance(records, list):
        message = "expected a list of JSON objects, an object with one as `data`, or SQuAD's layout"
        raise DataError(Problem(str(path), message, ONE_A_LINE))
    if not squad.is_squad(records):
        return records
    try:
        return list(squad.flatten({"data": records}))
    except ValueError as error:
        raise DataError(Problem(str(path), f"not SQuAD's layout: {error}")) from None


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.name.lower().endswith(".gz"):
            with _binary(path) as stream:
                return pq.ParquetFile(pa.BufferReader(stream.read()))
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError):
        raise DataError(Problem(str(path), "not a Parquet file, or cut off")) from None


def _read_parquet(path: Path, quotes: bool, block: Block | None) -> Rows:
    import pyarrow as pa

    number = 0
    file = _parquet(path)
    try:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError):
        raise DataError(Problem(str(path), "the Parquet data is damaged or cut off")) from None
    except UnicodeDecodeError:
        where = f"{path} row {number + 1} or later"
        raise DataError(Problem(where, "expected UTF-8 text", "convert it to UTF-8")) from None


def hub_splits(dataset: str, subset: str | None, revision: str | None, folder: Path) -> Any:
    """Load a hub data set, or a local folder in hub layout.

    Returns:
        A ``datasets.DatasetDict``.

    Raises:
        DataError: it does not exist, cannot be reached, or has no such subset.
    """
    import datasets

    local = folder / dataset
    source = str(local) if local.is_dir() else dataset
    try:
        return datasets.load_dataset(source, subset, revision=revision)
    except Exception as error:
        reason = str(error)[:200].partition("\n")[0]
        message = f"cannot be loaded: {type(error).__name__}: {reason}"
        advice = "expected a hub id that can be reached, or a folder in hub layout"
        raise DataError(Problem(f"data.dataset {dataset}", message, advice)) from None
