"""What the names of metrics mean, and the metrics that installed packages bring.

A package names a :class:`RowMetric` in an entry point of the group ``onestep.metrics``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tasks.extensions import Extensions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METRICS: Final[Extensions[object]] = Extensions("onestep.metrics", {})
LOWER_IS_BETTER = ("loss", "error", "perplexity")


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Rows with one label each and the predictions of a model; no texts.

    Attributes:
        labels: the classes; a class is its position among them.
        true: class of each row, of shape (rows,).
        predicted: its most probable class.
        true_probability: probability that the model gives to the true class.
        predicted_probability: probability that it gives to the predicted class.
    """

    labels: Sequence[str]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    true_probability: NDArray[np.float64]
    predicted_probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowMetric:
    """A metric of an installed package, and the range of its values.

    Attributes:
        compute: takes the rows, and how often each counts in each bootstrap sample, of shape
            (samples, rows); returns the value of each sample, of shape (samples,).
    """

    compute: Callable[[LabelledRows, NDArray[Any]], NDArray[Any]]
    low: float = 0.0
    high: float = 1.0
    lower_is_better: bool = False

    def __call__(self, rows: LabelledRows, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """The value of each sample; NaN for a sample in which no row counts."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(self.compute(rows, weights), dtype=np.float64)
        if values.shape != weights.shape[:1]:
            raise ValueError(
                f"expected shape {weights.shape[:1]} from a metric, found {values.shape}"
            )
        return np.where(weights.sum(1) > 0, values, np.nan)


def load(name: str) -> RowMetric:
    """The metric of an installed package.

    Raises:
        TypeError: the entry point names something else.
    """
    metric = METRICS.load(name)
    if not isinstance(metric, RowMetric):
        raise TypeError(f"expected a RowMetric, found {type(metric).__name__}")
    return metric


def code_digests(names: Iterable[str]) -> list[str]:
    """Each name with the digest of the file that defines the metric."""
    return [f"{name} {METRICS.code_digest(name)}" for name in names]


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of a metric is the better one."""
    if metric in METRICS.names():
        return load(metric).lower_is_better
    return metric.endswith(LOWER_IS_BETTER)


def better(metric: str, value: float, best: float | None) -> bool:
    """Whether a value beats the best one so far, as in Transformers; a tie or a NaN never does."""
    if best is None or math.isnan(value):
        return not math.isnan(value)
    return value < best if lower_is_better(metric) else value > best
