"""Near duplicates: MinHash (Broder 1997) finds pairs of texts, and each pair is then verified.

The similarity of two texts is the Jaccard similarity of the sets of their words and pairs of
neighbouring words, without case, punctuation and width; in scripts without spaces, each character
is a word. A text of fewer than five words is similar only to the same words, and a text without
words to nothing.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.text.languages import UNSPACED

WORD: Final = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
LEAST_WORDS: Final = 5
MOST_WORDS: Final = 10_000
"""Words that are read of one text, which bounds memory."""
PERMUTATIONS: Final = 128
MOST_MISSED: Final = 0.001
"""Chance that a pair exactly at the threshold is not found."""
CROWD: Final = 16
"""Texts of a bucket with which the others are compared, and copies of a text that make pairs: time
and memory grow with the rows, not with their square."""
KEPT: Final = 10_000
"""Sets of words that verification caches."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Pairs of similar texts.

    Attributes:
        pairs: positions ``i < j`` of two texts, and their similarity, at least the threshold.
            Texts that are equal but for white space at their ends make no pair.
        looked_at: how many different texts were compared.
    """

    pairs: list[tuple[int, int, float]]
    looked_at: int


def near_duplicates(texts: Sequence[str], threshold: float, *, seed: int = 0) -> NearDuplicates:
    """Find the pairs of texts whose Jaccard similarity reaches a threshold.

    Below about 0.6 there are many pairs to verify.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for position, text in enumerate(texts):
        rows[text.strip()].append(position)
    # By a hash, since neither the order of the rows nor their copies decide what is compared.
    distinct = sorted(rows, key=lambda text: _rank(text, seed))
    found = _verify(distinct, _candidates(distinct, threshold, seed), threshold)
    pairs = [
        (min(i, j), max(i, j), similarity)
        for one, other, similarity in found
        for i, j in product(rows[one][:CROWD], rows[other][:CROWD])
    ]
    return NearDuplicates(sorted(pairs), len(distinct))


def _rank(text: str, seed: int) -> bytes:
    content = text.encode(errors="surrogatepass")
    return blake2b(content, digest_size=16, key=str(seed).encode()).digest()


def _shingles(text: str) -> set[str]:
    words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())[:MOST_WORDS]
    if len(words) < LEAST_WORDS:
        # The leading space tells it from a pair in a longer text.
        return {" ".join(["", *words])} if words else set()
    return {*words, *map(" ".join, pairwise(words))}


def _signatures(texts: Sequence[str], seed: int) -> NDArray[np.uint32]:
    """Smallest hashes under each permutation, of shape (texts, permutations)."""
    from datasketch import MinHash

    hashes = ([zlib.crc32(shingle.encode()) for shingle in _shingles(text)] for text in texts)
    settings: Any = {"num_perm": PERMUTATIONS, "seed": seed % 2**32, "hashfunc": int}
    table = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    for row, sketch in zip(table, MinHash.generator(hashes, **settings), strict=True):
        row[:] = sketch.hashvalues
    return table


def _band_width(threshold: float) -> int:
    """Hashes per band: as many as ``MOST_MISSED`` allows.

    Of b bands with r hashes each, a pair of similarity s shares at least one with probability
    1 - (1 - s^r)^b (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4.2).
    """
    widths = range(1, PERMUTATIONS // 2 + 1)
    good = (w for w in widths if (1 - threshold**w) ** (PERMUTATIONS // w) <= MOST_MISSED)
    return max(good, default=1)


def _candidates(texts: Sequence[str], threshold: float, seed: int) -> NDArray[np.int64]:
    """Pairs that share a band, each as ``later * len(texts) + earlier``, in rising order."""
    signatures = _signatures(texts, seed)
    worded = np.flatnonzero((signatures != np.iinfo(np.uint32).max).any(axis=1))
    width = _band_width(threshold)
    found = np.empty(0, dtype=np.int64)
    for start in range(0, PERMUTATIONS - width + 1, width):
        band = np.ascontiguousarray(signatures[worded, start : start + width])
        codes = [later * len(texts) + earlier for earlier, later in _in_buckets(worded, band)]
        # np.unique hashes, which on such codes is twenty times slower than sorting.
        found = np.sort(np.concatenate([found, *codes]))
        found = found[np.diff(found, prepend=-1) > 0]
    return found


def _in_buckets(
    rows: NDArray[np.int64], band: NDArray[np.uint32]
) -> Iterator[tuple[np.int64, NDArray[np.int64]]]:
    """The first rows of each bucket, each with the rows after it."""
    keys = band.view(np.dtype((np.void, band.shape[1] * band.itemsize))).ravel()
    _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(bucket, kind="stable")
    ends = np.cumsum(sizes)
    for end, size in zip(ends[sizes > 1], sizes[sizes > 1], strict=True):
        members = rows[order[end - size : end]]
        for place, earlier in enumerate(members[:CROWD]):
            yield earlier, members[place + 1 :]


def _verify(
    texts: Sequence[str], candidates: NDArray[np.int64], threshold: float
) -> Iterator[tuple[str, str, float]]:
    shingles = lru_cache(maxsize=KEPT)(_shingles)
    for code in candidates.tolist():
        later, earlier = divmod(code, len(texts))
        one, other = shingles(texts[earlier]), shingles(texts[later])
        common = len(one & other)
        similarity = common / (len(one) + len(other) - common)
        if similarity >= threshold:
            yield texts[earlier], texts[later], similarity
