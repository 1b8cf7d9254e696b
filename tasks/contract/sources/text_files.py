"""Open text files in any encoding: plain or gzip, whole or one block of bytes."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Final, cast

from configs.errors import DataError, Problem
from configs.language import english
from tasks.contract.sources.base import Block, FileSource, Options
from tasks.text import encodings
from tasks.text.encodings import HEAD, Encoding, UnknownEncodingError
from tasks.text.samples import CHUNK

STDIN: Final = Path("-")
GZIP: Final = b"\x1f\x8b"
OTHER_FORMATS: Final = {
    b"PK\x03\x04": (
        english("a zip file, such as an Excel workbook"),
        english("name a workbook .xlsx"),
    ),
    b"\xd0\xcf\x11\xe0": (english("an old Excel workbook"), english("save it as .xlsx or CSV")),
    b"PAR1": (english("a Parquet file"), english("name it .parquet")),
}
NAME_IT: Final = english("convert it to UTF-8, or name its encoding in data.encoding")


class TextFile(FileSource):
    """A file of text, whose encoding is detected unless it is declared."""

    @cached_property
    def encoding(self) -> Encoding:
        return encoding_of(self.path, self.options)

    def text(self, block: Block | None = None) -> AbstractContextManager[IO[str]]:
        """Open the file, or a block of it; see :func:`text`."""
        return text(self.path, block, self.encoding)

    def reading(self) -> dict[str, str]:
        return {"encoding": self.encoding.name}


def is_zipped(path: Path) -> bool:
    """Whether the name or the first bytes of a file are those of gzip data."""
    if path.name.lower().endswith(".gz"):
        return True
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


@contextmanager
def binary(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, and decompress it if it is gzip data.

    Raises:
        DataError: the file cannot be read, or its gzip data is damaged.
    """
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] == GZIP:
                with gzip.open(raw, "rb") as zipped:
                    yield io.BufferedReader(cast(io.RawIOBase, zipped))
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError.at(path, english("the gzip data is damaged or cut off")) from None
    except OSError as error:
        raise DataError.at(
            path, english("cannot be read: {strerror}", strerror=error.strerror or error)
        ) from None


@contextmanager
def text(
    path: Path, block: Block | None = None, encoding: Encoding | None = None
) -> Iterator[IO[str]]:
    """Open a file, or a block of it, as text without a byte order mark and with its line endings.

    Raises:
        DataError: the file is empty, binary, of an unclear encoding or cannot be read.
    """
    encoding = encoding or encoding_of(path)
    with binary(path) as stream, _decoded(path, encoding):
        if block:
            stream.seek(block.start)
            part = io.BytesIO(stream.read(block.stop - block.start))
            yield io.TextIOWrapper(part, encoding=encoding.name, newline="")
            return
        stream.read(encoding.mark)
        decoded = io.TextIOWrapper(stream, encoding=encoding.name, newline="")
        try:
            yield decoded
        finally:
            decoded.detach()


def encoding_of(path: Path, options: Options | None = None) -> Encoding:
    """The encoding of a file: its byte order mark's, the declared one, or what its bytes show.

    Raises:
        DataError: the file is empty, binary or of an unclear encoding.
    """
    options = options or Options()
    with binary(path) as stream:
        head = stream.peek(HEAD)[:HEAD]
        found = encodings.marked(head)
        _refuse_others(path, head[found.mark :] if found else head)
        if found:
            return found
        if options.encoding and not options.usual:
            declared = encodings.declared(options.encoding, head)
            if encodings.is_rather_utf8(stream, declared):
                raise DataError(_not_declared(path, options.encoding))
            return declared
        if b"\0" in head:
            if found := encodings.wide(head):
                return found
            raise DataError.at(path, english("expected UTF-8 text, found binary data"))
        try:
            return encodings.detect(stream, options.encoding)
        except UnknownEncodingError as error:
            raise DataError(_unclear(path, error)) from None


def _refuse_others(path: Path, head: bytes) -> None:
    """Refuse a file that is empty, or of a format that is no text."""
    if not head.strip():
        raise DataError.at(path, english("the file is empty"))
    for magic, (name, advice) in OTHER_FORMATS.items():
        if head.startswith(magic):
            raise DataError.at(path, english("expected text, found {found}", found=name), advice)


def _not_declared(path: Path, name: str) -> Problem:
    message = english("expected {name} by data.encoding, found only UTF-8", name=name)
    advice = english("leave data.encoding out, which detects it for each file, or convert this one")
    return Problem(str(path), message, advice)


def _unclear(path: Path, error: UnknownEncodingError) -> Problem:
    where, byte = _first_undecodable(path, Encoding("utf-8"))
    found = english("expected UTF-8, found byte 0x{byte:02x}", byte=byte)
    if error.damaged and error.names:
        message = english(
            "{found}: some lines are UTF-8, others may be {name}",
            found=found,
            name=error.names[0],
        )
        return Problem(where, message, english("correct these lines, so that all are UTF-8"))
    if len(error.names) < 2:
        if not error.names:
            return Problem(where, found, NAME_IT)
        advice = english(
            "correct it, or set data.encoding: {name} if the file is in that", name=error.names[0]
        )
        return Problem(where, english("{found}, a single one or few", found=found), advice)
    message = english(
        "{found}, and the text fits {names}", found=found, names=" as well as ".join(error.names)
    )
    if error.difference:
        message += f": {error.difference}"
    choice = " or ".join(f"data.encoding: {name}" for name in error.names)
    return Problem(where, message, english("set {choice}", choice=choice))


@contextmanager
def _decoded(path: Path, encoding: Encoding) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        where, byte = _first_undecodable(path, encoding)
        name = encoding.name.upper() if encoding.name.startswith("utf") else encoding.name
        advice = english("correct it") if encoding.mark else english("correct it, or data.encoding")
        raise DataError.at(
            where, english("expected {name}, found byte 0x{byte:02x}", name=name, byte=byte), advice
        ) from None


def _first_undecodable(path: Path, encoding: Encoding) -> tuple[str, int]:
    """A file with the number of its first line that cannot be decoded, and the byte."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    line = 1
    with binary(path) as stream:
        stream.read(encoding.mark)
        try:
            while chunk := stream.read(CHUNK):
                line += decoder.decode(chunk).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding.name, "replace")
            return f"{path}:{line + before.count(chr(10))}", error.object[error.start]
    return str(path), 0
