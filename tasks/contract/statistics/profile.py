"""What is remembered of a data set, so that later rows can be compared with it.

A profile has counts and no text: rows per label, a histogram of text lengths, and in how many texts
the words of each hash bucket stand. It is the same whatever the order of the rows or the size of
the chunks, because only integers are added up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.text.languages import UNSPACED_CHARACTER
from tasks.text.retrieval import TOKEN

if TYPE_CHECKING:
    import pyarrow as pa

Integers = NDArray[np.int64]

SCHEMA: Final = 1
"""Raised when profiles of before can no longer be compared with those of now."""
BUCKETS: Final = 1024
GROUPS: Final = 32
LONGEST: Final = 65_536
EDGES: Final = np.unique(np.rint(2 ** (np.arange(161) / 8)).astype(np.int64))
"""Lengths at which a bin of the histogram begins: eight a doubling, up to 2**20 characters."""
BINS: Final = len(EDGES) + 1
LOG_SCALE: Final = 4096

SPAN: Final = 131_072
ROW_COST: Final = 64
BASE: Final = 0x9E3779B97F4A7C15
MIXER: Final = 0xD6E8FEB86659FD93
# A span and one text more, each character of which may become three when its case is folded.
POWERS: Final = 2**20
SEPARATOR: Final = "\0"
WORD, UNSPACED = 1, 2


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the texts of a column are.

    Attributes:
        counts: texts per bin; the first holds empty texts, the others begin at ``EDGES``.
        draws: how many independent texts would be as informative; fewer than there are if some
            repeat.
        mean: mean of ``ln(1 + characters)``.
        std: standard deviation of ``ln(1 + characters)``.
    """

    counts: list[int]
    draws: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which words the texts of a column have.

    A text counts once for a bucket, however often its words stand in it: words come in bursts
    (Church and Gale 1995), and how often one is repeated would drown what is said. The words are
    those of :func:`tasks.text.retrieval.tokens`, in the first ``LONGEST`` characters of each text.

    Attributes:
        texts: how many texts were looked at.
        counts: texts per bucket of words.
        draws: how many independent words would be as informative as all counts together.
        freedom: degrees of freedom of their spread.
    """

    texts: int
    counts: list[int]
    draws: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What is remembered of a data set; a few kilobytes a text column, and no text.

    Attributes:
        rows: rows seen.
        labels: rows per label, None if rows have none; a row may count for several.
        lengths: by text column.
        vocabulary: by text column.
    """

    rows: int
    labels: dict[str, int] | None
    lengths: dict[str, Lengths]
    vocabulary: dict[str, Vocabulary]

    def to_dict(self) -> dict[str, Any]:
        """A record that JSON can hold."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Profile:
        """Take a profile from its record.

        Raises:
            ValueError: the record is of another schema and cannot be compared.
        """
        if (found := record.get("schema")) != SCHEMA:
            raise ValueError(f"expected a profile of schema {SCHEMA}, found {found!r}")
        lengths = {name: Lengths(**column) for name, column in record["lengths"].items()}
        words = {name: Vocabulary(**column) for name, column in record["vocabulary"].items()}
        return cls(record["rows"], record["labels"], lengths, words)


class Profiler:
    """Makes a profile chunk by chunk, in memory that does not grow with the rows."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._rows = 0
        self._labels: Counter[str] | None = None
        self._columns = {name: _Column() for name in texts}

    def update(
        self,
        texts: Mapping[str, pa.Array | pa.ChunkedArray],
        labels: Mapping[str, int] | None = None,
    ) -> None:
        """Take in some rows.

        Args:
            texts: one array of strings a text column; missing texts only count as rows.
            labels: how many of the rows have each label.
        """
        self._rows += max((len(texts[name]) for name in self._columns), default=0)
        for name, column in self._columns.items():
            column.add(texts[name])
        if labels is not None:
            self._labels = self._labels or Counter()
            self._labels.update(labels)

    def merge(self, other: Profiler) -> None:
        """Take in the rows that another profiler of the same columns has seen."""
        self._rows += other._rows
        if other._labels is not None:
            self._labels = (self._labels or Counter()) + other._labels
        for name, column in self._columns.items():
            column.merge(other._columns[name])

    def finish(self) -> Profile:
        """The profile of the rows so far."""
        return Profile(
            rows=self._rows,
            labels=None if self._labels is None else dict(sorted(self._labels.items())),
            lengths={name: column.lengths() for name, column in self._columns.items()},
            vocabulary={name: column.vocabulary() for name, column in self._columns.items()},
        )


class _Column:
    """Integer sums over the texts of a column, by group.

    A text's group follows from its characters, so equal texts share one. Groups therefore differ as
    much as independent samples do, and :func:`spread` learns from them how much chance there is in
    the counts, which the counts alone do not tell: the words of a text come together, and a text
    may stand in many rows.
    """

    def __init__(self) -> None:
        self._bins = np.zeros(GROUPS * BINS, np.int64)
        self._words = np.zeros(GROUPS * BUCKETS, np.int64)
        # Of unlimited size, since squares add up.
        self._logs, self._squares = 0, 0

    def add(self, array: pa.Array | pa.ChunkedArray) -> None:
        for texts in _spans(array):
            lengths = _lengths(texts)
            groups, words = _bags(texts)
            bins = groups * BINS + np.searchsorted(EDGES, lengths, side="right")
            self._bins += np.bincount(bins, minlength=self._bins.size)
            self._words += np.bincount(words, minlength=self._words.size)
            logs = np.rint(np.log1p(lengths) * LOG_SCALE).astype(np.int64)
            self._logs += int(logs.sum())
            self._squares += int((logs * logs).sum())

    def merge(self, other: _Column) -> None:
        self._bins += other._bins
        self._words += other._words
        self._logs += other._logs
        self._squares += other._squares

    def lengths(self) -> Lengths:
        groups = self._bins.reshape(GROUPS, BINS)
        counts = groups.sum(axis=0)
        texts = int(counts.sum())
        draws, _ = spread(groups)
        scale = max(texts, 1) * LOG_SCALE
        std = math.sqrt(texts * self._squares - self._logs**2) / scale
        return Lengths(counts.tolist(), draws, self._logs / scale, std)

    def vocabulary(self) -> Vocabulary:
        groups = self._words.reshape(GROUPS, BUCKETS)
        return Vocabulary(int(self._bins.sum()), groups.sum(axis=0).tolist(), *spread(groups))


def spread(groups: Integers) -> tuple[float, float]:
    """How much chance there is in counts, judged by the groups that they are sums of.

    The covariance of the shares is that of ratios over clusters of unequal size (Cochran 1977), in
    units of the covariance of independent draws (Rao and Scott 1981). Its trace gives the draws,
    and with the trace of its square, which pairs of groups estimate without bias (Chen and Qin
    2010), the degrees of freedom (Satterthwaite 1946).

    Args:
        groups: counts of shape (groups, cells).

    Returns:
        The number of independent draws that would vary as much, at most as many as were counted,
        and the degrees of freedom; with too few groups to tell, 1 draw.
    """
    groups = groups[groups.any(axis=1)][:, groups.any(axis=0)]
    count, cells = groups.shape
    total = int(groups.sum())
    if count < 3 or cells < 2:
        return float(total if cells == 1 else min(total, 1)), 1.0
    shares = groups.sum(axis=0) / total
    weights = groups.sum(axis=1) / total
    residuals = (groups / total - np.outer(weights, shares)) / np.sqrt(shares)
    products = residuals @ residuals.T * count / (count - 1)
    trace = float(np.trace(products))
    pairs = products + trace * np.outer(weights, weights)
    np.fill_diagonal(pairs, 0)
    square = float((pairs**2).sum() / (1 - (weights**2).sum()))
    if trace == 0 or square == 0:
        return float(total), float(cells - 1)
    draws, freedom = (cells - 1) / trace, trace**2 / square
    return min(max(draws, 1.0), float(total)), min(max(freedom, 1.0), float(cells - 1))


class _Hashes:
    """Hashes of substrings: polynomials in the code points modulo 2**64 (Karp and Rabin 1987).

    One cumulative sum holds them all. Alike substrings have alike polynomials, so bits are mixed by
    shifts and products at the end, as in SplitMix64 (Steele, Lea and Flood 2014).
    """

    def __init__(self, codes: NDArray[np.uint32]) -> None:
        self._sums = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(codes * _powers()[: len(codes)], out=self._sums[1:])

    def of(self, starts: Integers, ends: Integers, size: int) -> Integers:
        """Hashes of the substrings in between, below ``size``, a power of 2."""
        hashes = (self._sums[ends] - self._sums[starts]) * _powers()[POWERS - 1 - ends]
        for _ in range(2):
            hashes = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(MIXER)
        return (hashes >> np.uint64(65 - size.bit_length())).astype(np.int64)


def _bags(texts: pa.Array) -> tuple[Integers, Integers]:
    """The group of each text; and the places, in a table of groups by buckets, of its words.

    A text has each place once.
    """
    codes = _codes(texts)
    hashes = _Hashes(codes)
    separators = np.flatnonzero(codes == 0)
    # With its closing separator, or the group of a text of one word would follow from the bucket.
    groups = hashes.of(separators[:-1] + 1, separators[1:] + 1, GROUPS)
    starts, ends = _words(_kinds().take(codes))
    row = np.repeat(np.arange(len(texts)), np.diff(separators))[starts]
    bucket = hashes.of(starts, ends, BUCKETS)
    once = _once(row * BUCKETS + bucket, len(texts) * BUCKETS)
    return groups, groups[row[once]] * BUCKETS + bucket[once]


def _once(keys: Integers, size: int) -> NDArray[np.bool_]:
    """A mask that leaves each key, which is below ``size``, once: far faster than sorting."""
    order = np.arange(len(keys), dtype=np.int32)
    last = np.empty(size, np.int32)
    last[keys] = order
    return np.equal(last[keys], order)


def _spans(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """The texts that are there, a bounded number of characters at a time."""
    import pyarrow as pa

    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        texts = chunk.cast(pa.large_string()).drop_null()
        costs = np.cumsum(np.minimum(_lengths(texts), LONGEST) + ROW_COST)
        edges = np.flatnonzero(np.diff(costs // SPAN)) + 1
        bounds = [0, *edges.tolist(), len(texts)]
        for start, stop in pairwise(bounds):
            if stop > start:
                yield texts.slice(start, stop - start)


def _lengths(texts: pa.Array) -> Integers:
    import pyarrow.compute as pc

    return np.asarray(pc.utf8_length(texts), dtype=np.int64)


def _codes(texts: pa.Array) -> NDArray[np.uint32]:
    """Code points of all texts, case folded and cut, each text between two zeros."""
    # One by one, since folding is many times faster where all characters are ASCII.
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
