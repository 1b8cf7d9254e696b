"""Losses, metrics and baselines: what an application optimizes, reports, and compares with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self

from configs.schema import Data
from tasks import metrics
from tasks.applications.facts import F
from tasks.metrics import RowMetric

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Batch = dict[str, "torch.Tensor"]
Predictions = Mapping[str, Any]
SAMPLES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that an application reports, and the range of its values."""

    name: str
    low: float = 0.0
    high: float = 1.0
    lower_is_better: bool = False


def shares(*names: str) -> tuple[Metric, ...]:
    """Metrics from 0 to 1, higher is better."""
    return tuple(map(Metric, names))


def percentages(*names: str) -> tuple[Metric, ...]:
    """Metrics from 0 to 100, higher is better."""
    return tuple(Metric(name, high=100.0) for name in names)


def error(name: str, high: float = math.inf) -> Metric:
    """A metric from 0 up, lower is better."""
    return Metric(name, high=high, lower_is_better=True)


class Objective(Protocol):
    """The training loss as a sum, so that accumulated batches add up exactly.

    The loss of a step is the sum of ``total`` over its batches, divided by the sum of ``weight``.
    """

    def weight(self, batch: Batch) -> torch.Tensor:
        """Total weight of the targets of a batch, a scalar."""

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weighted sum of the losses of a batch, a scalar with a graph."""

    def expected_initial(self, outputs: torch.Tensor) -> float:
        """The mean loss of a model that guesses evenly, for outputs of this shape."""


class Scorer:
    """Metrics of a stream of predictions; it never keeps logits.

    An application's scorer implements ``update``, ``metrics``, ``resampled``, ``details`` and
    ``mistakes``; the other methods have defaults.
    """

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Add rows: their target columns, and the model's predictions."""
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        """Every metric over the rows so far, and their number as ``rows``."""
        raise NotImplementedError

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Percentile bootstrap over the rows of a metric, with a fixed seed."""
        import numpy as np

        from tasks.applications.bootstrap import percentiles

        used = self.metric_rows(metric)
        if used is None:
            used = np.ones(int(self.metrics()["rows"]), dtype=np.bool_)
        generator, count = np.random.default_rng(0), int(used.sum())
        even, values = np.full(count, 1 / count), []
        for start in range(0, samples, SAMPLES_AT_ONCE):
            weights = np.zeros((min(SAMPLES_AT_ONCE, samples - start), len(used)), dtype=np.int64)
            weights[:, used] = generator.multinomial(count, even, size=len(weights))
            values.append(self.resampled(metric, weights))
        return percentiles(np.concatenate(values), confidence)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """One metric where each row counts as often as a sample says.

        Args:
            metric: one of :meth:`metrics`.
            weights: of shape (samples, rows).

        Returns:
            An array of shape (samples,); NaN for a sample in which no row counts.
        """
        raise NotImplementedError

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        """Rows of the detail table, such as one per class."""
        raise NotImplementedError

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """The most confident mistakes: positions in the stream, never text."""
        raise NotImplementedError

    def add(self, name: str, metric: RowMetric) -> None:
        """Report a metric of an installed package too, where ``Scoring.extensible`` says so."""
        raise NotImplementedError

    def metric_rows(self, metric: str) -> NDArray[np.bool_] | None:
        """The rows that a metric is computed over, of shape (rows,); None for all rows."""
        return None

    def effective_rows(self, metric: str) -> int:
        """The number of equally weighted rows that tell as much, for :func:`bootstrap.widened`.

        The rows that the metric is computed over. For a mean over classes, the rows of the rarest
        class times the number of classes, since an error weighs most there.
        """
        used = self.metric_rows(metric)
        return int(self.metrics()["rows"] if used is None else used.sum())

    def correctness(self) -> NDArray[np.float64] | None:
        """Per row 1 for a correct prediction and 0 for a wrong one, of shape (rows,).

        None where predictions are not simply right or wrong.
        """
        return None

    def matrix(self) -> dict[str, Any]:
        """Confusion matrix: ``labels``, and ``counts`` by true and by predicted label."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Plots by file stem."""
        return {}

    def learned(self) -> dict[str, Any]:
        """Facts from the validation rows, such as a decision threshold."""
        return {}

    def signatures(self) -> dict[str, str]:
        """How metrics were computed, where a library describes that in a line."""
        return {}


class Scoring(Generic[F]):
    """Metrics, and predictions in the form that a scorer takes."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        """The metrics that it reports."""
        raise NotImplementedError

    def primary_metric(self, data: Data) -> str:
        """The metric that decides unless the config names another; by default the first."""
        return self.metrics(data)[0].name

    def limits(self, data: Data, metric: str) -> tuple[float, float]:
        """The lowest and the highest possible value of a metric, also of an installed package."""
        own = {one.name: one for one in self.metrics(data)}
        found = own[metric] if metric in own else metrics.load(metric)
        return found.low, found.high

    def extensible(self, data: Data) -> bool:
        """Whether its scorer takes metrics of installed packages."""
        return False

    def scorer(self, facts: F) -> Scorer:
        """A fresh scorer."""
        raise NotImplementedError

    def extended_scorer(self, facts: F, extra_metrics: Iterable[str]) -> Scorer:
        """A fresh scorer that also reports metrics of installed packages, by their names."""
        scorer = self.scorer(facts)
        for name in extra_metrics:
            scorer.add(name, metrics.load(name))
        return scorer

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """Output of the registered model in the form that :class:`Scorer` takes."""
        raise NotImplementedError

    def align(self, predictions: pd.DataFrame, theirs: F, ours: F) -> tuple[pd.DataFrame, F]:
        """Another model's predictions in terms of this one, and the facts to score them by.

        By default no alignment is needed.

        Args:
            predictions: output of the other model.
            theirs: the facts of the other model.
            ours: those of this one.

        Raises:
            ValueError: the models solve different problems; the message says how.
        """
        return predictions, ours

    def categories(self, predictions: pd.DataFrame) -> list[str] | None:
        """The category of each prediction of the registered model; None for free text."""
        return None


class Baseline(Generic[F]):
    """A trivial method, which every report shows beside the model."""

    def name(self, data: Data) -> str:
        """What it does, in two or three words."""
        raise NotImplementedError

    def fit(self, frames: Iterable[pd.DataFrame], facts: F) -> Self:
        """The method with what it takes from the stored training rows besides the facts."""
        return self

    def predict(self, frame: pd.DataFrame, facts: F) -> Predictions:
        """Predictions for stored rows, in the form that :class:`Scorer` takes."""
        raise NotImplementedError
