"""Make validation and test splits from fractions of the training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError
from configs.language import english
from configs.schema import Pipeline
from tasks.contract.rows.catalogue import NO_GROUP, Catalogue, Hashes
from tasks.contract.rules.repeats import repeated
from tasks.contract.sources.splits import SPLITS

SLACK: Final = 0.5
"""By which share of a split's size the groups may miss it."""
ROUNDING: Final = 1e-9
"""Tolerance of the product of a share and a size."""
LEAST: Final = 2
"""Least rows of a label, which has to be in two splits."""
GOLDEN: Final = 0x9E3779B97F4A7C15
MIXING: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def assign(rows: Catalogue, kept: NDArray[np.bool_], config: Pipeline) -> NDArray[np.int8]:
    """Assign kept rows to splits: seeded, with the rows of a group or a text together.

    Without groups, each split has the share of each label.

    Returns:
        The split of each row; declared splits, and rows that are not kept, stay as they are.

    Raises:
        DataError: too few rows or groups to make the splits.
    """
    assigned = rows.split.copy()
    declared = {name: getattr(config.data, name) for name in SPLITS[1:]}
    shares = {name: share for name, share in declared.items() if isinstance(share, float)}
    pool = np.flatnonzero(kept & (assigned == 0))
    if config.data.group_column:
        assigned[pool] = _by_group(rows, pool, shares, config.seed)
    else:
        _by_row(rows, pool, shares, config.seed, assigned)
    return assigned


def _by_row(
    rows: Catalogue,
    pool: NDArray[np.int64],
    shares: Mapping[str, float],
    seed: int,
    assigned: NDArray[np.int8],
) -> None:
    left = 1.0
    for name, share in shares.items():
        labels = _strata(rows, pool)
        try:
            chosen = _smallest(_mixed(rows.leakage[pool], seed), share / left, labels)
        except ValueError:
            what = english("{rows:d} rows", rows=len(pool))
            if labels is not None:
                count = len(np.unique(labels))
                what = english("{rows:d} rows of {count:d} labels", rows=len(pool), count=count)
            raise _too_few(name, share, what) from None
        assigned[pool[chosen]] = SPLITS.index(name)
        pool = pool[~chosen]
        left -= share


def _too_few(name: str, share: float, what: str) -> DataError:
    message = english(
        "cannot set aside {share:g} of {note} for {name}", share=share, note=what, name=name
    )
    advice = english("give more rows, a larger fraction, or files of its own")
    return DataError.at(f"data.{name}", message, advice)


def _by_group(
    rows: Catalogue, pool: NDArray[np.int64], shares: Mapping[str, float], seed: int
) -> NDArray[np.int8]:
    """The split of each row of the pool, by the hash of its group alone.

    So a group stays where it was, whatever rows and groups are added. Only if a split would be
    more than ``SLACK`` larger or smaller than declared, as with few or very large groups, the
    next groups by their hashes are added or left out. A row without a group is one by its text.
    """
    alone = rows.group[pool] == NO_GROUP
    groups, member, sizes = np.unique(
        np.where(alone, rows.leakage[pool], rows.group[pool]),
        return_inverse=True,
        return_counts=True,
    )
    places = _mixed(groups, seed) / 2.0**64
    split = np.zeros(len(groups), np.int8)
    free, left = len(pool), 1.0
    for name, share in shares.items():
        left -= share
        least, most = (share * (1 - SLACK) * len(pool), share * (1 + SLACK) * len(pool))
        # Those that are left keep their least share too.
        most = min(most, free - left * (1 - SLACK) * len(pool))
        # From both ends, so that one fraction does not move the groups of the other.
        ranks = places if name == SPLITS[-1] else 1 - places
        taken = 0
        for at in np.argsort(np.where(split, np.inf, ranks))[: np.count_nonzero(split == 0)]:
            if ranks[at] >= share and taken >= least:
                break
            if taken + sizes[at] <= most:
                split[at] = SPLITS.index(name)
                taken += int(sizes[at])
        if not taken:
            count = len(groups)
            what = english("{rows:d} rows in {count:d} groups", rows=len(pool), count=count)
            raise _too_few(name, share, what)
        free -= taken
    found: NDArray[np.int8] = split[member]
    return found


def _strata(rows: Catalogue, pool: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """The label of each row by its alphabetical position; None unless each row has one label.

    Rows with the same text have one of their labels, so that they go to the same split.
    """
    if not len(rows.target) or not isinstance(rows.values[0], str):
        return None
    places = np.empty(len(rows.values), np.int32)
    places[sorted(range(len(rows.values)), key=lambda code: rows.values[code])] = np.arange(
        len(rows.values)
    )
    strata: NDArray[np.int32] = places[rows.target[pool]]
    hashes = rows.leakage[pool]
    again = np.flatnonzero(repeated(hashes))
    if len(again):
        texts, member = np.unique(hashes[again], return_inverse=True)
        least = np.full(len(texts), len(rows.values), np.int32)
        np.minimum.at(least, member, strata[again])
        strata[again] = least[member]
    return strata


def _smallest(ranks: Hashes, share: float, labels: NDArray[np.int32] | None) -> NDArray[np.bool_]:
    """Mask of a share of the rows of each label: those with the smallest ranks.

    A rank depends only on the content of the row. So rows with the same text go together, and most
    rows stay in their split when others are added.
    """
    kinds = np.zeros(len(ranks), np.int32) if labels is None else labels
    sizes = np.bincount(kinds)
    total, present = math.ceil(share * len(ranks) - ROUNDING), np.flatnonzero(sizes)
    if (
        not len(present)
        or sizes[present].min() < LEAST
        or not (len(present) <= total <= len(ranks) - len(present))
    ):
        raise ValueError(english("too few rows"))
    chosen = np.zeros(len(ranks), dtype=bool)
    for kind, wanted in enumerate(_apportioned(sizes, total)):
        if wanted:
            members = kinds == kind
            limit = np.partition(ranks[members], wanted - 1)[wanted - 1]
            chosen |= members & (ranks <= limit)
    return chosen


def _apportioned(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Divide a total in proportion to sizes, by largest remainders (Hamilton's method)."""
    exact = sizes * (total / max(int(sizes.sum()), 1))
    whole = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[rest] += 1
    found: NDArray[np.int64] = whole
    return found


def _mixed(hashes: Hashes, seed: int) -> Hashes:
    """Other hashes for each seed (finalizer of SplitMix64, Steele, Lea and Flood 2014)."""
    mixed = hashes + np.uint64((seed * GOLDEN) % 2**64)
    for shift, factor in MIXING:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
