"""Profiles of data sets, with which later rows are compared.

A profile has counts and no text: rows per label, a histogram of text lengths, and for each hash
bucket the texts with a word of the bucket. Since it adds up integers only, it depends neither on
the order of the rows nor on batches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.text.languages import UNSPACED_CHARACTER
from tasks.text.retrieval import TOKEN

Integers = NDArray[np.int64]

SCHEMA: Final = 1
"""Raised when profiles of the version before cannot be compared with new ones."""
BUCKETS: Final = 1024
GROUPS: Final = 32
LONGEST: Final = 65_536
EDGES: Final = np.unique(np.rint(2 ** (np.arange(161) / 8)).astype(np.int64))
"""Lengths at which bins of the histogram begin: eight bins per doubling, up to 2**20 characters."""
BINS: Final = len(EDGES) + 1
LOG_SCALE: Final = 4096

SPAN: Final = 131_072
ROW_COST: Final = 64
BASE: Final = 0x9E3779B97F4A7C15
MIXER: Final = 0xD6E8FEB86659FD93
# A span and one more text, whose characters may each become three when case is folded.
POWERS: Final = 2**20
SEPARATOR: Final = "\0"
WORD, UNSPACED = 1, 2


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the texts of a column.

    Attributes:
        counts: texts per bin; the first holds empty texts, the others begin at ``EDGES``.
        draws: effective number of independent texts; fewer than the texts if some repeat.
        mean: of ``ln(1 + characters)``.
        std: of ``ln(1 + characters)``.
    """

    counts: list[int]
    draws: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of the texts of a column.

    A text counts once per bucket, since words are repeated in bursts (Church and Gale 1995). The
    words are those of :func:`tasks.text.retrieval.tokens` in the first ``LONGEST`` characters of
    each text.

    Attributes:
        texts: number of texts.
        counts: texts per bucket of words.
        draws: effective number of independent words.
        freedom: degrees of freedom of their spread.
    """

    texts: int
    counts: list[int]
    draws: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Profile of a data set: a few kilobytes per text column.

    Attributes:
        rows: number of rows.
        labels: rows per label, None if rows have none; a row may count for several.
        lengths: by text column.
        vocabulary: by text column.
    """

    rows: int
    labels: dict[str, int] | None
    lengths: dict[str, Lengths]
    vocabulary: dict[str, Vocabulary]

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Profile:
        """Read a profile from its record.

        Raises:
            ValueError: the record has another schema.
        """
        if (found := record.get("schema")) != SCHEMA:
            raise ValueError(f"expected a profile of schema {SCHEMA}, found {found!r}")
        lengths = {name: Lengths(**column) for name, column in record["lengths"].items()}
        words = {name: Vocabulary(**column) for name, column in record["vocabulary"].items()}
        return cls(record["rows"], record["labels"], lengths, words)


class Profiler:
    """Makes a profile of rows that come in batches; its memory does not grow with them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._rows = 0
        self._labels: Counter[str] | None = None
        self._columns = {name: _Column() for name in texts}

    def update(
        self,
        texts: Mapping[str, pa.Array | pa.ChunkedArray],
        labels: Mapping[str, int] | None = None,
    ) -> None:
        """Add rows.

        Args:
            texts: an array of strings per text column; missing texts only count as rows.
            labels: rows per label.
        """
        self._rows += max((len(texts[name]) for name in self._columns), default=0)
        for name, column in self._columns.items():
            column.add(texts[name])
        if labels is not None:
            self._labels = self._labels or Counter()
            self._labels.update(labels)

    def merge(self, other: Profiler) -> None:
        """Add the rows of another profiler of the same columns."""
        self._rows += other._rows
        if other._labels is not None:
            self._labels = (self._labels or Counter()) + other._labels
        for name, column in self._columns.items():
            column.merge(other._columns[name])

    def finish(self) -> Profile:
        return Profile(
            rows=self._rows,
            labels=None if self._labels is None else dict(sorted(self._labels.items())),
            lengths={name: column.lengths() for name, column in self._columns.items()},
            vocabulary={name: column.vocabulary() for name, column in self._columns.items()},
        )


class _Column:
    """Integer sums over the texts of a column, by group.

    The characters of a text decide its group, so that equal texts are in the same group. Groups
    differ like independent samples, from which :func:`spread` estimates the variance of the counts;
    the counts alone do not show it, since the words of a text come together and texts repeat.
    """

    def __init__(self) -> None:
        self._bins = np.zeros(GROUPS * BINS, np.int64)
        self._words = np.zeros(GROUPS * BUCKETS, np.int64)
        # Python integers, since sums of squares may exceed 64 bits.
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
    """The variance of counts, estimated from the groups that they are sums of.

    The covariance of the shares is that of ratios over clusters of unequal size (Cochran 1977), in
    units of the covariance of independent draws (Rao and Scott 1981). Its trace gives the draws,
    and with the trace of its square, which pairs of groups estimate without bias (Chen and Qin
    2010), the degrees of freedom (Satterthwaite 1946).

    Args:
        groups: counts of shape (groups, cells).

    Returns:
        The number of independent draws with the same variance, at most the count, and the degrees
        of freedom; 1 draw if there are too few groups.
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


def _bags(texts: pa.Array) -> tuple[Integers, Integers]:
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


def _once(keys: Integers, size: int) -> NDArray[np.bool_]:
    """A mask that keeps each key, below ``size``, once; much faster than sorting."""
    order = np.arange(len(keys), dtype=np.int32)
    last = np.empty(size, np.int32)
    last[keys] = order
    return np.equal(last[keys], order)


def _spans(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Texts that are not null, a bounded number of characters at a time."""
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        texts = chunk.cast(pa.large_string()).drop_null()
        costs = np.cumsum(np.minimum(_lengths(texts), LONGEST) + ROW_COST)
        edges = np.flatnonzero(np.diff(costs // SPAN)) + 1
        bounds = [0, *edges.tolist(), len(texts)]
        for start, stop in pairwise(bounds):
            if stop > start:
                yield texts.slice(start, stop - start)


def _lengths(texts: pa.Array) -> Integers:
    return np.asarray(pc.utf8_length(texts), dtype=np.int64)


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
