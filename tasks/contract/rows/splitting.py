"""Make validation and test splits from fractions of the training rows."""

from __future__ import annotations

import math
import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError, Problem
from configs.schema import Pipeline
from tasks.contract.rows.catalogue import Catalogue, Hashes
from tasks.contract.rules.repeats import repeated
from tasks.contract.sources.splits import SPLITS

MOST_FOLDS: Final = 100
ROUNDING: Final = 1e-9
"""Tolerance of the product of a share and a size."""
LEAST: Final = 2
"""Least rows of a label, which has to be in two splits."""
GOLDEN: Final = 0x9E3779B97F4A7C15
MIXING: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def assign(rows: Catalogue, kept: NDArray[np.bool_], config: Pipeline) -> NDArray[np.int8]:
    """Assign kept rows to splits: stratified, seeded, with the rows of a group or a text together.

    Returns:
        The split of each row; declared splits, and rows that are not kept, stay as they are.

    Raises:
        DataError: too few rows or groups to make the splits.
    """
    assigned = rows.split.copy()
    declared = {name: getattr(config.data, name) for name in SPLITS[1:]}
    fractions = {name: share for name, share in declared.items() if isinstance(share, float)}
    left = 1.0
    for name, share in fractions.items():
        pool = np.flatnonzero(kept & (assigned == 0))
        if config.data.group_column:
            # By content, so that the order of the rows has no effect.
            pool = pool[np.argsort(rows.content[pool], kind="stable")]
        labels = _strata(rows, pool)
        groups = rows.group[pool] if config.data.group_column else None
        try:
            ranks = _mixed(rows.leakage[pool], config.seed)
            chosen = _chosen(ranks, share / left, labels, groups, config.seed)
        except ValueError:
            kinds = f" of {len(np.unique(labels))} labels" if labels is not None else ""
            message = f"cannot set aside {share:g} of {len(pool)} rows{kinds} for {name}"
            advice = "give more rows, a larger fraction, or files of its own"
            raise DataError(Problem(f"data.{name}", message, advice)) from None
        assigned[pool[chosen]] = SPLITS.index(name)
        left -= share
    return assigned


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


def _chosen(
    ranks: Hashes, share: float, labels: NDArray[np.int32] | None, groups: Any, seed: int
) -> NDArray[np.bool_]:
    """A mask of the rows to set aside."""
    if groups is None:
        return _smallest(ranks, share, labels)
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    index = np.arange(len(ranks))
    folds = round(1 / share)
    if labels is not None and 2 <= folds <= MOST_FOLDS:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A rule reports labels with too few rows.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            chosen = next(iter(splitter.split(index, labels, groups)))[1]
    else:
        shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        chosen = next(iter(shuffle.split(index, labels, groups)))[1]
    return np.isin(index, chosen)


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
        raise ValueError("too few rows")
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
