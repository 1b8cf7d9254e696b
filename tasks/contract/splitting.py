"""Make validation and test splits from a fraction of the training rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.schema import Pipeline
from tasks.contract.catalogue import Catalogue
from tasks.contract.frames import SPLITS
from tasks.errors import DataError, Problem

MOST_FOLDS: Final = 100
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
    alike: Any, share: float, labels: NDArray[np.int32] | None, groups: Any, seed: int
) -> NDArray[np.bool_]:
    """A mask of the rows to set aside."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

    index = np.arange(len(alike))
    if groups is None:
        # One row stands for all with its text.
        _, first, member = np.unique(alike, return_index=True, return_inverse=True)
        spokesmen = np.sort(first)
        kinds = labels[spokesmen] if labels is not None else None
        _, picked = train_test_split(spokesmen, test_size=share, stratify=kinds, random_state=seed)
        return np.isin(first, picked)[member]
    folds = round(1 / share)
    if labels is not None and 2 <= folds <= MOST_FOLDS:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        chosen = next(iter(splitter.split(index, labels, groups)))[1]
    else:
        shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        chosen = next(iter(shuffle.split(index, labels, groups)))[1]
    return np.isin(index, chosen)
