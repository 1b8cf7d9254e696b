"""Rows that repeat others: duplicates, conflicting targets, and leakage between splits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.contract.rows.catalogue import Catalogue, Hashes
from tasks.contract.sources.splits import SPLITS

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
KEPT_FIRST: Final = ("test", "validation", "train")
RANK: Final = np.array([KEPT_FIRST.index(split) for split in SPLITS], dtype=np.int8)
"""Rank of each split by its position; rows of the lowest rank are kept."""


def duplicates(rows: Catalogue, kept: Mask, hashes: Hashes) -> tuple[Rows, Rows]:
    """Rows that share a hash with an earlier row of their split, and for each that row."""
    chosen, first = _first_alike(hashes, rows, kept)
    again = chosen != first
    return chosen[again], first[again]


def conflicts(rows: Catalogue, kept: Mask) -> tuple[Rows, Rows]:
    """Rows whose input has several targets in their split, and for each the first row with it."""
    chosen, first = _first_alike(rows.duplicates, rows, kept)
    differs = rows.content[chosen] != rows.content[first]
    torn = np.isin(first, first[differs])
    return chosen[torn], first[torn]


def leaks(rows: Catalogue, kept: Mask, hashes: Hashes) -> tuple[Rows, NDArray[np.int8]]:
    """Rows that share a hash with a split of a lower rank, and the lowest such rank."""
    chosen = np.flatnonzero(kept)
    chosen = chosen[repeated(hashes[chosen])]
    values, ranks = hashes[chosen], RANK[rows.split[chosen]]
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=~values[order[:1]]))
    if not len(starts):
        return chosen[:0], ranks[:0]
    best = np.minimum.reduceat(ranks[order], starts)
    least = np.empty_like(ranks)
    least[order] = np.repeat(best, np.diff(starts, append=len(order)))
    late = ranks > least
    return chosen[late], least[late]


def _first_alike(hashes: Hashes, rows: Catalogue, kept: Mask) -> tuple[Rows, Rows]:
    """Rows that share a hash, and for each the first row of its split with that hash.

    First is the row whose content has the smallest hash, so that the order of the rows does not
    decide which is kept.
    """
    chosen = np.flatnonzero(kept)
    chosen = chosen[repeated(hashes[chosen])]
    # The split replaces bits of the hash.
    keys = (hashes[chosen] << np.uint64(2)) ^ rows.split[chosen].astype(np.uint64)
    groups = (rows.group[chosen],) if len(rows.group) else ()
    order = np.lexsort((*groups, rows.content[chosen], keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
    first = np.empty_like(chosen)
    first[order] = chosen[np.repeat(order[starts], np.diff(starts, append=len(order)))]
    return chosen, first


def repeated(hashes: Hashes) -> Mask:
    """Mask of the hashes that occur more than once; few, which saves memory."""
    ordered = hashes.copy()
    ordered.sort()
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(len(hashes), dtype=bool)
    places = np.searchsorted(twice, hashes).clip(max=len(twice) - 1)
    found: Mask = twice[places] == hashes
    return found
