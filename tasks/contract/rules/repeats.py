"""Rows that repeat others: duplicates, conflicting targets, and leakage between splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.contract.rows.catalogue import NO_GROUP, Catalogue, Hashes
from tasks.contract.sources.splits import SPLITS

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
KEPT_FIRST: Final = ("test", "validation", "train")
RANK: Final = np.array([KEPT_FIRST.index(split) for split in SPLITS], dtype=np.int8)
"""Rank of each split by its position; rows of the lowest rank are kept."""


def superseded(rows: Catalogue) -> Rows:
    """Rows whose id and inputs a row of their split has that was read later."""
    chosen, last = _alike(rows.record, rows, rows.record != NO_GROUP, first=False)
    found: Rows = chosen[chosen != last]
    return found


def outdated(rows: Catalogue, kept: Mask) -> Mask:
    """Mask of the rows with another target than the row with their input that was read last."""
    chosen, last = _alike(rows.duplicates, rows, kept, first=False)
    mask = np.zeros(len(rows), dtype=bool)
    mask[chosen] = rows.content[chosen] != rows.content[last]
    return mask


def duplicates(rows: Catalogue, kept: Mask, hashes: Hashes, outdated: Mask) -> tuple[Rows, Rows]:
    """Rows that share a hash with a row of their split that stays, and for each that row."""
    groups = (rows.group,) if len(rows.group) else ()
    chosen, first = _alike(hashes, rows, kept, (*groups, outdated))
    again = chosen != first
    return chosen[again], first[again]


def conflicts(rows: Catalogue, kept: Mask) -> tuple[Rows, Rows]:
    """Rows whose input has several targets in their split, and for each the first row with it."""
    chosen, first = _alike(rows.duplicates, rows, kept)
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


def _alike(
    hashes: Hashes,
    rows: Catalogue,
    kept: Mask,
    before: Sequence[NDArray[Any]] = (),
    *,
    first: bool = True,
) -> tuple[Rows, Rows]:
    """Rows that share a hash, and for each the first row of its split with it, or the last.

    First is the row that was read first, unless one of the columns of ``before`` has a smaller
    value for another; the last of these columns decides first.
    """
    chosen = np.flatnonzero(kept)
    chosen = chosen[repeated(hashes[chosen])]
    # The split replaces bits of the hash.
    keys = (hashes[chosen] << np.uint64(2)) ^ rows.split[chosen].astype(np.uint64)
    # Not the position: rows that a person repaired may come after others of their file.
    columns = (rows.row, rows.file, *before)
    order = np.lexsort((*(column[chosen] for column in columns), keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
    sizes = np.diff(starts, append=len(order))
    found = np.empty_like(chosen)
    found[order] = chosen[np.repeat(order[starts if first else starts + sizes - 1], sizes)]
    return chosen, found


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
