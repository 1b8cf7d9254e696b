"""Catalogues of rows that nobody has to read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas.util import hash_array

from tasks.contract.rows.catalogue import NO_GROUP, Catalogue, Hashes
from tasks.contract.sources.splits import SPLITS


def hashed(values: Sequence[Any]) -> Hashes:
    """Hashes of values by what they look like."""
    written = np.empty(len(values), dtype=object)
    written[:] = [repr(value) for value in values]
    found: Hashes = hash_array(written, categorize=False)
    return found


def grouped(values: Sequence[Any]) -> Hashes:
    """Hashes of groups; none of a missing value."""
    found = hashed(values)
    found[[value is None for value in values]] = NO_GROUP
    return found


def catalogue(
    splits: Sequence[str],
    texts: Sequence[Any],
    labels: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    across: Sequence[Any] | None = None,
    ids: Sequence[Any] | None = None,
) -> Catalogue:
    """Rows of one file, numbered from 1.

    Args:
        splits: the split of each row.
        texts: what makes rows of a split the same.
        labels: the targets; also what rows are stratified by.
        groups: of each row.
        across: what makes rows of different splits the same; the texts, unless it is given.
        ids: of each row, as ``data.id_column`` names them.
    """
    targets = labels if labels is not None else [None] * len(texts)
    values = list(dict.fromkeys(labels or ()))
    return Catalogue(
        split=np.array([SPLITS.index(split) for split in splits], np.int8),
        file=np.zeros(len(splits), np.int32),
        row=np.arange(1, len(splits) + 1, dtype=np.int32),
        content=hashed(list(zip(texts, targets, strict=True))),
        duplicates=hashed(texts),
        leakage=hashed(texts if across is None else across),
        group=grouped(groups) if groups is not None else np.empty(0, np.uint64),
        target=np.array([values.index(label) for label in labels or ()], np.int32),
        values=values,
        record=grouped([one and (one, text) for one, text in zip(ids, texts, strict=True)])
        if ids is not None
        else np.empty(0, np.uint64),
    )
