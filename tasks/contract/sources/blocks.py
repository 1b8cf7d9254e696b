"""Divide large files into blocks of whole rows, so that several processes can read them.

A row of CSV may have several lines. If quotation marks follow RFC 4180, a row ends at a line break
with an even number of quotation marks before it. If they do not, only a reader that starts at the
beginning knows where rows end, and the rest of the file is one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.contract.sources.base import Block
from tasks.contract.sources.text_files import is_zipped

QUOTE, LINE_FEED, CARRIAGE_RETURN = 34, 10, 13

Bytes = NDArray[np.uint8]


def is_divisible(path: Path, size: int) -> bool:
    """Whether a file holds at least two blocks that can be read separately."""
    return path.stat().st_size >= 2 * size and not is_zipped(path)


def cut(
    path: Path,
    size: int,
    start: int = 0,
    header: tuple[str, ...] = (),
    delimiter: str | None = None,
) -> Iterator[Block]:
    """Divide a file into blocks of about ``size`` bytes, from where its rows ``start``.

    The ``header`` has the column names before them. Without a delimiter, between fields that may be
    quoted, each line is a row.
    """
    separator = None if delimiter is None else ord(delimiter)
    with path.open("rb") as stream:
        stream.seek(start)
        begin, inside, before = start, 0, LINE_FEED
        while content := stream.read(size):
            after = stream.read(1)
            stream.seek(-len(after), 1)
            data = np.frombuffer(content, np.uint8)
            marks = np.flatnonzero(data == QUOTE) if separator else np.zeros(0, np.int64)
            if separator and not _regular(data, marks, inside, before, after, separator):
                break
            ends = np.flatnonzero(data == LINE_FEED)
            if separator:
                ends = ends[(np.searchsorted(marks, ends) + inside) % 2 == 0]
            if len(ends):
                stop = stream.tell() - len(content) + int(ends[-1]) + 1
                yield Block(begin, stop, header)
                begin = stop
            inside, before = (inside + len(marks)) % 2, content[-1]
        end = stream.seek(0, 2)
        if begin < end:
            yield Block(begin, end, header)


def _regular(
    data: Bytes,
    marks: NDArray[np.int64],
    inside: int,
    before: int,
    after: bytes,
    delimiter: int,
) -> bool:
    """Whether each quotation mark opens or closes a field, or is doubled inside one."""
    padded = np.concatenate(([before], data, [after[0] if after else LINE_FEED]))
    neighbours = [delimiter, LINE_FEED, CARRIAGE_RETURN, QUOTE]
    opening, closing = marks[inside::2], marks[1 - inside :: 2]
    return bool(
        np.isin(padded[opening], neighbours).all()
        and np.isin(padded[closing + 2], neighbours).all()
    )
