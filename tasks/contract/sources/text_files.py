"""Open text files: plain or gzip, UTF-8 only, whole or one block of bytes."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from configs.errors import DataError, Problem
from tasks.contract.sources.base import Block

STDIN: Final = Path("-")
GZIP: Final = b"\x1f\x8b"
WRONG_ENCODINGS: Final = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
HEAD: Final = 4096


def is_zipped(path: Path) -> bool:
    """Whether the name or the first bytes of a file are those of gzip data."""
    if path.name.lower().endswith(".gz"):
        return True
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if path == STDIN:
        # The first bytes are in this buffer, from which the format was told.
        yield cast(io.BufferedReader, sys.stdin.buffer)
    else:
        with path.open("rb") as raw:
            yield raw


@contextmanager
def binary(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input for ``-``, and decompress it if it is gzip data.

    Raises:
        DataError: the file cannot be read, or its gzip data is damaged.
    """
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
def text(path: Path, block: Block | None = None) -> Iterator[IO[str]]:
    """Open a file as UTF-8 text, without a byte order mark and with its line endings.

    Raises:
        DataError: the file is empty, binary, not UTF-8 or cannot be read.
    """
    with binary(path) as stream, _decoded(path):
        if block:
            stream.seek(block.start)
            part = io.BytesIO(stream.read(block.stop - block.start))
            encoding = "utf-8" if block.start else "utf-8-sig"
            yield io.TextIOWrapper(part, encoding=encoding, newline="")
            return
        _refuse_binary(path, stream.peek(HEAD)[:HEAD])
        decoded = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            yield decoded
        finally:
            decoded.detach()


@contextmanager
def _decoded(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found byte 0x{error.object[error.start]:02x}"
        raise DataError(Problem(_line(path), message, "convert it to UTF-8")) from None


def _line(path: Path) -> str:
    """A file, and the number of its first line that is not UTF-8; standard input is read once."""
    if path == STDIN:
        return str(path)
    with binary(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path}:{number}"
    return str(path)


def _refuse_binary(path: Path, head: bytes) -> None:
    if not head.strip():
        raise DataError(Problem(str(path), "the file is empty"))
    for mark, name in WRONG_ENCODINGS.items():
        if head.startswith(mark):
            raise DataError(Problem(str(path), f"expected UTF-8, found {name}", "convert it"))
    if b"\0" in head:
        raise DataError(Problem(str(path), "expected UTF-8 text, found binary data"))
