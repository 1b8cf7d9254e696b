"""Tell the encoding of text by its bytes: byte order marks, UTF-8, UTF-16 and UTF-32, then others.

Text that decodes as UTF-8 is UTF-8. Of the readings of other bytes the plausible one is taken; two
are never chosen from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

from tasks.text import readings, samples
from tasks.text.readings import Reading
from tasks.text.samples import CHUNK, Sample

HEAD: Final = 4096
FEW: Final = 3
"""Characters besides ASCII that are needed to tell an encoding; fewer may be damaged UTF-8."""
LEAST: Final = 0.5
"""Share of fitting characters in the later lines of a file."""
LEAST_ASCII: Final = 0.03
"""Share of separators and line breaks in text of units of several bytes."""
MIN_ASCII: Final = 4
"""Least number of them; in fewer, a zero byte may be one too many in text of single bytes."""
DAMAGE: Final = re.compile("[\x7f-\x9f\ufffd\ue000-\uf8ff]")
"""Characters that text in the right encoding does not have."""

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
    """Whether characters are in use, and as many are ASCII as a header and separators have."""
    if sum(map(str.isascii, text)) < max(MIN_ASCII, LEAST_ASCII * len(text)):
        return False
    printed = all(character.isprintable() or character.isspace() for character in text)
    return printed and readings.are_common(text)


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


def is_rather_utf8(stream: BinaryIO, encoding: Encoding) -> bool:
    """Whether bytes are UTF-8 and other than ASCII, and hardly in the encoding that is named."""
    if encoding.name.startswith("utf") or not encoding.keeps_ascii:
        return False
    content = samples.take(stream).content
    if not content or not samples.is_utf8(content) or _may_be(encoding.name, content):
        return False
    stream.seek(0)
    return _is_utf8(stream)


def _legacy(stream: BinaryIO, usual: str | None) -> str:
    """The encoding of text that is not UTF-8."""
    sample = samples.take(stream)
    found = _choose(sample, codecs.lookup(usual).name if usual else None)
    _check_later(found, b"".join(sample.later))
    return found.name


def _choose(sample: Sample, usual: str | None) -> Reading:
    """The usual reading if it is plausible, or the one that fits best."""
    content = sample.content
    valid, others = sample.split()
    found = [one for one in readings.plausible(content) if _may_be(one.name, b"".join(valid))]
    known = readings.read(content, usual) if usual and _may_be(usual, b"".join(valid)) else None
    if known and _is_plausible(known, found):
        return known
    if len(valid) >= len(others) or (valid and not found):
        names = [one.name for one in readings.plausible(b"".join(others))[:1]]
        raise UnknownEncodingError(names, damaged=True)
    if not found:
        raise UnknownEncodingError
    if known and not DAMAGE.search(known.text):
        raise _ambiguous(content, [found[0], known])
    rivals = [one for one in found if one.fit > found[0].fit - readings.MARGIN]
    if found[0].count < FEW or any(one.text != found[0].text for one in rivals):
        raise _ambiguous(content, rivals)
    return found[0]


def _is_plausible(known: Reading, found: list[Reading]) -> bool:
    """Whether an encoding that is known has read a text; one of no table, if no other has."""
    if known.fit >= readings.PLAUSIBLE or any(one.text == known.text for one in found):
        return True
    return not (found or readings.knows(known.name) or DAMAGE.search(known.text))


def _may_be(name: str, valid: bytes) -> bool:
    """Whether bytes that are UTF-8 may be in an encoding, which happens in those of Asia."""
    if not valid:
        return True
    found = readings.read(valid, name, part=True) if readings.is_wide(name) else None
    return found is not None and found.fit >= readings.PLAUSIBLE


def _check_later(chosen: Reading, later: bytes) -> None:
    """Refuse an encoding that the first lines are in, and later ones are not."""
    found = readings.read(later, chosen.name)
    if not found or found.count < FEW or not readings.knows(chosen.name):
        return
    rivals = [one for one in readings.plausible(later) if one.text != found.text]
    if found.fit < LEAST or (found.fit < readings.PLAUSIBLE and rivals):
        raise _ambiguous(later, [found, *rivals])


def _ambiguous(sample: bytes, found: list[Reading]) -> UnknownEncodingError:
    """The first of the readings that have another text, with a byte that shows the difference."""
    texts = {one.text: one.name for one in reversed(found)}
    distinct = [one.name for one in found if one.name in texts.values()]
    for value in sorted({value for value in sample if value > 127}):
        read = [bytes([value]).decode(name, "replace") for name in distinct]
        if "\ufffd" not in read and len(set(read)) == len(read):
            shown = ", ".join(f"{one} in {n}" for one, n in zip(read, distinct, strict=True))
            return UnknownEncodingError(distinct, f"byte 0x{value:02x} is {shown}")
    return UnknownEncodingError(distinct)
