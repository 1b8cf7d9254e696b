"""Make validation and test splits from a fraction of the training rows."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.schema import Pipeline
from tasks.contract.catalogue import Catalogue, Hashes
from tasks.contract.frames import SPLITS
from tasks.errors import DataError, Problem

MOST_FOLDS: Final = 100
ROUNDING: Final = 1e-9
"""What a product of a share and a size may exceed a whole number by."""
LEAST: Final = 2
"""Rows that a label needs at least, or it cannot be in two splits."""
GOLDEN: Final = 0x9E3779B97F4A7C15
MIXING: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
Rows = NDArray[np.int64]


def assign(rows: Catalogue, order: Rows, config: Pipeline) -> NDArray[np.int8]:
    """Assign rows to splits: stratified, seeded, groups kept whole, rows of one text together.

    Args:
        rows: all rows.
        order: positions of the rows to assign, in an order that the files do not decide.
        config: declares the fractions, the group and the seed.

    Returns:
        The split of each row of ``order``; declared splits stay as they are.

    Raises:
        DataError: too few rows or groups to make the splits.
    """
    assigned = rows.split[order].copy()
    declared = {name: getattr(config.data, name) for name in SPLITS[1:]}
    fractions = {name: share for name, share in declared.items() if isinstance(share, float)}
    strata = rows.brief[order] if _has_strata(rows) else None
    left = 1.0
    for name, share in fractions.items():
        pool = np.flatnonzero(assigned == 0)
        labels = strata[pool] if strata is not None else None
        groups = rows.group[order][pool] if config.data.group else None
        alike = rows.leakage[order][pool]
        try:
            chosen = _chosen(alike, share / left, labels, groups, config.training.seed)
        except ValueError:
            kinds = f" of {len(np.unique(labels))} labels" if labels is not None else ""
            message = f"cannot set aside {share:g} of {len(pool)} rows{kinds} for {name}"
            advice = "give more rows, a larger fraction, or files of its own"
            raise DataError(Problem(f"data.{name}", message, advice)) from None
        assigned[pool[chosen]] = SPLITS.index(name)
        left -= share
    return assigned


def _has_strata(rows: Catalogue) -> bool:
    """Whether each row has one label."""
    return bool(len(rows.brief)) and isinstance(rows.values[0], str)


def _chosen(
    alike: Hashes, share: float, labels: NDArray[np.int32] | None, groups: Any, seed: int
) -> NDArray[np.bool_]:
    """A mask of the rows to set aside."""
    if groups is None:
        return _smallest(_mixed(alike, seed), share, labels)
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    index = np.arange(len(alike))
    folds = round(1 / share)
    if labels is not None and 2 <= folds <= MOST_FOLDS:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        chosen = next(iter(splitter.split(index, labels, groups)))[1]
    else:
        shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        chosen = next(iter(shuffle.split(index, labels, groups)))[1]
    return np.isin(index, chosen)


def _smallest(ranks: Hashes, share: float, labels: NDArray[np.int32] | None) -> NDArray[np.bool_]:
    """A share of the rows of each label, those with the smallest ranks.

    The content of a row alone decides its rank. So rows with the same text go together, and when
    rows are added later, most others stay in their split.
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
    wanted = _apportioned(sizes, total)
    order = np.lexsort((ranks, kinds))
    last = np.cumsum(sizes) - sizes + wanted - 1
    limits = np.zeros(len(sizes), np.uint64)
    some = wanted > 0
    limits[some] = ranks[order[last[some]]]
    chosen: NDArray[np.bool_] = some[kinds] & (ranks <= limits[kinds])
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
