"""Profiles of data sets, with which later rows are compared.

A profile has counts and no text: rows per label, a histogram of text lengths, and for each hash
bucket the texts with a word of the bucket. Since it adds up integers only, it depends neither on
the order of the rows nor on batches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tasks.contract.statistics.buckets import BUCKETS, GROUPS, Integers, bags, lengths_of, spans

SCHEMA: Final = 1
"""Raised when profiles of the version before cannot be compared with new ones."""
EDGES: Final = np.unique(np.rint(2 ** (np.arange(161) / 8)).astype(np.int64))
"""Lengths at which bins of the histogram begin: eight bins per doubling, up to 2**20 characters."""
BINS: Final = len(EDGES) + 1
LOG_SCALE: Final = 4096


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
    words are those of :func:`tasks.text.retrieval.tokens` in the first
    :data:`~tasks.contract.statistics.buckets.LONGEST` characters of each text.

    Attributes:
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

    Rows per label are None if rows have none; a row may count for several.
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
        """Add rows: an array of strings per text column, and the rows per label.

        Missing texts only count as rows.
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
        for texts in spans(array):
            lengths = lengths_of(texts)
            groups, words = bags(texts)
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
