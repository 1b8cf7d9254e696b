"""Tell the encoding of text by its bytes: byte order marks, UTF-8, UTF-16 and UTF-32, then others.

Text that decodes as UTF-8 is UTF-8. Of the readings of other bytes the plausible one is taken; two
are never chosen from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from tasks.text import readings
from tasks.text.readings import Reading

CHUNK: Final = 2**20
SAMPLE: Final = 2**16
"""Bytes of lines with other characters than ASCII that are decoded in several ways."""
HEAD: Final = 4096
FEW: Final = 3
"""Characters besides ASCII that are needed to tell an encoding; fewer may be damaged UTF-8."""
MARGIN: Final = 0.1
"""How much better the best reading must fit than one with another text."""

MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"\x84\x31\x95\x33": "gb18030",
}
"""The mark of UTF-32 comes before that of UTF-16, which it begins with."""
SHIFTING: Final = ("iso2022", "hz", "utf-7")
"""Encodings in which bytes of ASCII mean other characters after a shift."""
WIDE: Final = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
"""Bytes of a unit."""


class UnknownEncodingError(ValueError):
    """Bytes that are not UTF-8, and whose encoding is not clear.

    Attributes:
        names: encodings that are plausible.
        difference: a byte that two of them read differently, and what they read.
        damaged: whether most lines that are not ASCII are UTF-8.
    """

    def __init__(
        self, names: Iterable[str] = (), difference: str = "", *, damaged: bool = False
    ) -> None:
        self.names = tuple(names)
        self.difference = difference
        self.damaged = damaged
        super().__init__("the encoding is not clear")


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec of Python, and the bytes of the byte order mark before the text."""

    name: str
    mark: int = 0

    @property
    def keeps_ascii(self) -> bool:
        """Whether each byte of ASCII is that character, and no part of another."""
        ascii_ = bytes(range(128))
        if self.name.startswith(SHIFTING):
            return False
        try:
            return ascii_.decode(self.name) == ascii_.decode("ascii")
        except UnicodeDecodeError:
            return False


def marked(head: bytes) -> Encoding | None:
    """The encoding that a byte order mark names."""
    return next((Encoding(name, len(m)) for m, name in MARKS.items() if head.startswith(m)), None)


def wide(head: bytes) -> Encoding | None:
    """UTF-16 or UTF-32 without a mark: a line break or a comma has zero bytes at its side."""
    for name, unit in WIDE.items():
        part = head[: len(head) // unit * unit]
        # A chunk may end inside a pair of surrogates.
        for end in (len(part), len(part) - 2):
            try:
                text = part[:end].decode(name)
            except UnicodeDecodeError:
                continue
            if "\0" not in text and re.search(r"[\n,;\t|{\[]", text) and _is_text(text):
                return Encoding(name)
    return None


def _is_text(text: str) -> bool:
    return all(character.isprintable() or character.isspace() for character in text)


def declared(name: str, head: bytes) -> Encoding:
    """The encoding that a person names; one of wide units without its byte order is looked at."""
    codec = codecs.lookup(name).name.removesuffix("-sig")
    if codec in ("utf-16", "utf-32"):
        return wide(head) or Encoding(f"{codec}-le")
    return Encoding(codec)


def detect(stream: BinaryIO, usual: str | None = None) -> Encoding:
    """The encoding of a stream of single bytes, which is read to its end at most.

    Args:
        stream: at its start; it can be sought.
        usual: the encoding of similar texts, taken where several are plausible.

    Raises:
        UnknownEncodingError: it is not clear.
    """
    if _is_utf8(stream):
        return Encoding("utf-8")
    stream.seek(0)
    return Encoding(_legacy(stream, usual))


def _is_utf8(stream: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _legacy(stream: BinaryIO, usual: str | None) -> str:
    """The encoding of text that is not UTF-8."""
    lines = list(_sample(stream))
    broken = sum(not _decodes(line) for line in lines)
    found = readings.plausible(b"".join(lines))
    names = [reading.name for reading in found]
    known = codecs.lookup(usual).name if usual else None
    if known in names:
        return str(known)
    if broken <= len(lines) - broken:
        raise UnknownEncodingError(damaged=True)
    if not found:
        raise UnknownEncodingError
    if found[0].count < FEW:
        raise _ambiguous(b"".join(lines), found)
    rivals = [one for one in found[1:] if one.text != found[0].text]
    if rivals and rivals[0].fit > found[0].fit - MARGIN:
        raise _ambiguous(b"".join(lines), [found[0], *rivals])
    return found[0].name


def _ambiguous(sample: bytes, found: list[Reading]) -> UnknownEncodingError:
    """The first of the readings that have another text, with a byte that shows the difference."""
    names = [one.name for one in found if one.fit > found[0].fit - MARGIN]
    texts = {one.text: one.name for one in reversed(found) if one.name in names}
    distinct = [name for name in names if name in texts.values()]
    for value in sorted({value for value in sample if value > 127}):
        read = [bytes([value]).decode(name, "replace") for name in distinct]
        if "\ufffd" not in read and len(set(read)) == len(read):
            shown = ", ".join(f"{one} in {n}" for one, n in zip(read, distinct, strict=True))
            return UnknownEncodingError(distinct, f"byte 0x{value:02x} is {shown}")
    return UnknownEncodingError(distinct)


def _sample(stream: BinaryIO) -> Iterator[bytes]:
    """The first lines with other bytes than ASCII, and the first that is not UTF-8."""
    size, broken = 0, False
    for line in stream:
        if line.isascii():
            continue
        is_broken = not broken and not _decodes(line)
        if size <= SAMPLE or is_broken:
            yield line
            size += len(line)
            broken |= is_broken
        if size > SAMPLE and broken:
            return


def _decodes(line: bytes, name: str = "utf-8") -> bool:
    try:
        line.decode(name)
    except UnicodeDecodeError:
        return False
    return True
