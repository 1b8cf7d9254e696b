"""Make validation and test splits from a fraction of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import Data
from tasks.contract.frames import SPLITS
from tasks.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd

MOST_FOLDS = 100


def split(
    frame: pd.DataFrame, data: Data, strata: pd.Series[Any] | None, seed: int
) -> pd.Series[Any]:
    """Assign each row to a split: stratified, seeded, groups kept whole.

    Returns:
        The split of each row; declared splits stay as they are.

    Raises:
        DataError: too few rows or groups to make the splits.
    """
    assigned = frame["split"].copy()
    declared: Mapping[str, object] = {name: getattr(data, name) for name in SPLITS[1:]}
    fractions = {name: share for name, share in declared.items() if isinstance(share, float)}
    left = 1.0
    for name, share in fractions.items():
        pool = frame.index[assigned == "train"]
        # As text, since groups of several types, or none, have no order.
        groups = frame.loc[pool, "group"].map(repr) if data.group else None
        labels = strata.loc[pool] if strata is not None else None
        try:
            assigned.loc[pool[_chosen(len(pool), share / left, labels, groups, seed)]] = name
        except ValueError:
            kinds = f" of {labels.nunique()} labels" if labels is not None else ""
            message = f"cannot set aside {share:g} of {len(pool)} rows{kinds} for {name}"
            advice = "give more rows, a larger fraction, or files of its own"
            raise DataError(Problem(f"data.{name}", message, advice)) from None
        left -= share
    return assigned


def _chosen(
    rows: int, share: float, labels: pd.Series[Any] | None, groups: pd.Series[Any] | None, seed: int
) -> Any:
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

    index = np.arange(rows)
    if groups is None:
        _, chosen = train_test_split(index, test_size=share, stratify=labels, random_state=seed)
        return np.sort(chosen)
    folds = round(1 / share)
    if labels is not None and 2 <= folds <= MOST_FOLDS:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        return next(iter(splitter.split(index, labels, groups)))[1]
    shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    return next(iter(shuffle.split(index, labels, groups)))[1]
