"""Tables and plots of scores of single texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def length_groups(lengths: Sequence[int]) -> list[tuple[str, NDArray[np.int64]]]:
    """Three groups of rows of about equal size by length: their bounds, and their positions."""
    values = np.asarray(lengths)
    bounds = np.unique(np.quantile(values, [0, 1 / 3, 2 / 3, 1]).astype(np.int64))
    if len(bounds) < 2:
        return [(str(bounds[0]), np.arange(len(values)))]
    index = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(bounds) - 2)
    return [
        (f"{bounds[group]}–{bounds[group + 1]}", np.flatnonzero(index == group))
        for group in range(len(bounds) - 1)
        if (index == group).any()
    ]


def row_scores(values: NDArray[np.float64], name: str) -> Figure:
    """How a score from 0 to 100 is distributed over the rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=20, range=(0, 100), color="tab:blue")
    axes.axvline(float(values.mean()), color="black", linestyle="--", label="mean")
    axes.set(xlabel=f"{name} of a row", ylabel="rows", xlim=(0, 100), title=f"{name} by row")
    axes.legend()
    return figure
