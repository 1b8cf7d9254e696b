"""Hash buckets of the words of texts, and a group for each text.

All are integers that depend on the characters of a text alone, and no text can be read from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.text.languages import UNSPACED_CHARACTER
from tasks.text.retrieval import TOKEN

Integers = NDArray[np.int64]

BUCKETS: Final = 1024
GROUPS: Final = 32
LONGEST: Final = 65_536
"""Characters that are read of one text."""
SPAN: Final = 131_072
ROW_COST: Final = 64
BASE: Final = 0x9E3779B97F4A7C15
MIXER: Final = 0xD6E8FEB86659FD93
# A span and one more text, whose characters may each become three when case is folded.
POWERS: Final = 2**20
SEPARATOR: Final = "\0"
WORD, UNSPACED = 1, 2


def spans(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Texts that are not null, a bounded number of characters at a time."""
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        texts = chunk.cast(pa.large_string()).drop_null()
        costs = np.cumsum(np.minimum(lengths_of(texts), LONGEST) + ROW_COST)
        edges = np.flatnonzero(np.diff(costs // SPAN)) + 1
        bounds = [0, *edges.tolist(), len(texts)]
        for start, stop in pairwise(bounds):
            if stop > start:
                yield texts.slice(start, stop - start)


def lengths_of(texts: pa.Array) -> Integers:
    """Characters of each text."""
    return np.asarray(pc.utf8_length(texts), dtype=np.int64)


def bags(texts: pa.Array) -> tuple[Integers, Integers]:
    """The group of each text, and the distinct cells of its words among groups and buckets."""
    codes = _codes(texts)
    hashes = _Hashes(codes)
    separators = np.flatnonzero(codes == 0)
    # With the closing separator, or the bucket of a text of one word would decide its group.
    groups = hashes.of(separators[:-1] + 1, separators[1:] + 1, GROUPS)
    starts, ends = _words(_kinds().take(codes))
    row = np.repeat(np.arange(len(texts)), np.diff(separators))[starts]
    bucket = hashes.of(starts, ends, BUCKETS)
    once = _once(row * BUCKETS + bucket, len(texts) * BUCKETS)
    return groups, groups[row[once]] * BUCKETS + bucket[once]


class _Hashes:
    """Hashes of substrings: polynomials in the code points modulo 2**64 (Karp and Rabin 1987).

    All are differences of one cumulative sum. Since similar substrings have similar polynomials,
    bits are mixed by shifts and products, as in SplitMix64 (Steele, Lea and Flood 2014).
    """

    def __init__(self, codes: NDArray[np.uint32]) -> None:
        self._sums = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(codes * _powers()[: len(codes)], out=self._sums[1:])

    def of(self, starts: Integers, ends: Integers, size: int) -> Integers:
        """Hashes of substrings, below ``size``, a power of 2."""
        hashes = (self._sums[ends] - self._sums[starts]) * _powers()[POWERS - 1 - ends]
        for _ in range(2):
            hashes = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(MIXER)
        return (hashes >> np.uint64(65 - size.bit_length())).astype(np.int64)


def _once(keys: Integers, size: int) -> NDArray[np.bool_]:
    """A mask that keeps each key, below ``size``, once; much faster than sorting."""
    order = np.arange(len(keys), dtype=np.int32)
    last = np.empty(size, np.int32)
    last[keys] = order
    return np.equal(last[keys], order)


def _codes(texts: pa.Array) -> NDArray[np.uint32]:
    """Code points of all texts, case folded and cut, each text between two zeros."""
    # One by one, since case is folded much faster in ASCII texts.
    rows = [text[:LONGEST].casefold() for text in texts.to_pylist()]
    joined = SEPARATOR.join(rows)
    if joined.count(SEPARATOR) >= len(rows):
        joined = SEPARATOR.join(row.replace(SEPARATOR, " ") for row in rows)
    return np.frombuffer(f"{SEPARATOR}{joined}{SEPARATOR}".encode("utf-32-le"), "<u4")


def _words(kinds: NDArray[np.uint8]) -> tuple[Integers, Integers]:
    """Where words begin and end; in a script without spaces, pairs of characters."""
    word = kinds == WORD
    edges = np.flatnonzero(word[1:] != word[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    unspaced = kinds == UNSPACED
    if not unspaced.any():
        return starts, ends
    pairs = np.flatnonzero(unspaced[:-1] & unspaced[1:])
    alone = np.flatnonzero(unspaced[1:-1] & ~unspaced[:-2] & ~unspaced[2:]) + 1
    return np.concatenate([starts, pairs, alone]), np.concatenate([ends, pairs + 2, alone + 1])


@lru_cache(maxsize=1)
def _kinds() -> NDArray[np.uint8]:
    """What each code point is: part of a word, of a script without spaces, or neither."""
    kinds = np.zeros(0x110000, np.uint8)
    for run in TOKEN.finditer("".join(map(chr, range(len(kinds))))):
        kinds[slice(*run.span())] = UNSPACED if UNSPACED_CHARACTER.match(run[0]) else WORD
    return kinds


@lru_cache(maxsize=1)
def _powers() -> NDArray[np.uint64]:
    powers = np.full(POWERS, BASE, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
