"""Cut large files into blocks of whole rows, so that several processes can read them.

A row of CSV may go over several lines. Where quotation marks stand as RFC 4180 has them, a line
break outside of quotes is one with an even number of quotation marks before it. Where they do not,
only a reader that starts at the beginning knows, and the rest of the file is one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from tasks.contract.sources import reading
from tasks.contract.sources.reading import Block

SIZE: Final = 16 * 2**20
QUOTE, LINE_FEED, CARRIAGE_RETURN = 34, 10, 13
DELIMITERS: Final = {".csv": ord(","), ".tsv": ord("\t")}
LINES: Final = (".jsonl", ".ndjson")

Bytes = NDArray[np.uint8]


def cut(path: Path, *, quotes: bool = True, size: int = SIZE) -> Iterator[Block]:
    """Blocks of about ``size`` bytes; none if the file is small or cannot be cut."""
    kind = reading.format_of(path)
    if path == reading.STDIN or path.name.lower().endswith(".gz"):
        return
    if kind not in (*DELIMITERS, *LINES) or path.stat().st_size < 2 * size:
        return
    with path.open("rb") as stream:
        if stream.read(2) == reading.GZIP:
            return
        stream.seek(0)
        delimiter = DELIMITERS.get(kind)
        header = tuple(reading.columns_of(path, quotes=quotes)) if delimiter else ()
        first = reading.header_size(path, quotes=quotes) if delimiter else 0
        yield from _blocks(stream, first, header, delimiter if quotes else None, size)


def _blocks(
    stream: BinaryIO, start: int, header: tuple[str, ...], delimiter: int | None, size: int
) -> Iterator[Block]:
    """Blocks from ``start``; without a delimiter, every line break ends a row."""
    stream.seek(start)
    begin, inside, before = start, 0, LINE_FEED
    while content := stream.read(size):
        after = stream.read(1)
        stream.seek(-len(after), 1)
        data = np.frombuffer(content, np.uint8)
        marks = np.flatnonzero(data == QUOTE) if delimiter is not None else np.zeros(0, np.int64)
        if not _regular(data, marks, inside, before, after, delimiter):
            break
        ends = np.flatnonzero(data == LINE_FEED)
        if delimiter is not None:
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
    delimiter: int | None,
) -> bool:
    """Whether each quotation mark opens or closes a field, or is one of a pair inside it."""
    if delimiter is None:
        return True
    padded = np.concatenate(([before], data, [after[0] if after else LINE_FEED]))
    neighbours = [delimiter, LINE_FEED, CARRIAGE_RETURN, QUOTE]
    opening, closing = marks[inside::2], marks[1 - inside :: 2]
    return bool(
        np.isin(padded[opening], neighbours).all()
        and np.isin(padded[closing + 2], neighbours).all()
    )
