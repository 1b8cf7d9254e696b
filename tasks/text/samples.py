"""Lines that show the encoding of a stream: the first ones, and later ones with other bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

CHUNK: Final = 2**20
SAMPLE: Final = 2**15
"""Bytes of the first lines with other characters than ASCII."""
LINES: Final = 4
"""Lines in which each byte that is not ASCII is looked at, to the end of the stream."""
TRAILING: Final = bytes(range(0x30, 0x100))
"""Bytes that may be the last of several of a character, in any encoding that keeps ASCII."""
LINE: Final = re.compile(rb"[^\r\n]{0,500}[\x30-\xff]*[\x00-\x2f]?")
"""A line, or a part of a long one that ends between characters."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Lines with other characters than ASCII.

    Attributes:
        first: the first ones of a stream.
        later: ones that come after them and have other bytes.
    """

    first: list[bytes]
    later: list[bytes]

    @property
    def content(self) -> bytes:
        return b"".join(self.first + self.later)

    def split(self) -> tuple[list[bytes], list[bytes]]:
        """The lines that are UTF-8, and the others."""
        lines = self.first + self.later
        valid = [line for line in lines if is_utf8(line)]
        return valid, [line for line in lines if not is_utf8(line)]


def is_utf8(content: bytes) -> bool:
    """Whether bytes decode as UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def take(stream: BinaryIO) -> Sample:
    """Read a stream to its end, and take its first lines and a few with each other byte."""
    sample = Sample([], [])
    left = dict.fromkeys(range(128, 256), LINES)
    size, ignored = 0, bytes(range(128))
    for chunk in _chunks(stream):
        if not chunk.translate(None, ignored):
            continue
        for line in LINE.findall(chunk):
            wanted = left.keys() & line
            if line.isascii() or (size > SAMPLE and not wanted):
                continue
            (sample.later if size > SAMPLE else sample.first).append(line)
            size += len(line)
            for byte in wanted:
                left[byte] -= 1
                if not left[byte]:
                    del left[byte]
        if size > SAMPLE:
            ignored = bytes(set(range(256)) - left.keys())
    return sample


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream in parts that end between characters."""
    rest = b""
    while part := stream.read(CHUNK):
        content = rest + part
        end = len(content.rstrip(TRAILING))
        rest = content[end:]
        yield content[:end]
    yield rest
