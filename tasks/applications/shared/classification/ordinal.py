"""One step of an ordered scale per row, such as stars: regression on the position."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.language import english
from configs.schema import Data, Pipeline
from configs.training import Loss
from tasks.applications.base import Batch, Predictions, Problems
from tasks.applications.scoring import Metric, Scorer, error, shares
from tasks.applications.shared import losses
from tasks.applications.shared.classification import labels as label_names
from tasks.applications.shared.classification import raw_labels
from tasks.applications.shared.classification.base import Labelling
from tasks.applications.shared.classification.labels import ClassificationFacts

if TYPE_CHECKING:
    import pandas as pd
    import torch


class Ordinal(Labelling):
    """Exactly one of several labels that have an order."""

    problem_type = "regression"
    metrics: tuple[Metric, ...] = (
        error("mean_absolute_error"),
        *shares("accuracy", "macro_f1", "within_one"),
        Metric("quadratic_weighted_kappa", low=-1.0),
    )
    primary_metric = "mean_absolute_error"
    baseline_name = english("median label")

    def check(self, config: Pipeline) -> Problems:
        """The loss is the squared error, which has no classes."""
        loss, why = (
            config.training.loss,
            english("`labelling: ordinal` minimizes the squared error"),
        )
        if loss.name != "cross_entropy":
            yield "training.loss.name", english("expected none, since {why}", why=why)
        if loss.label_smoothing:
            yield "training.loss.label_smoothing", english("expected 0, since {why}", why=why)
        if loss.class_weights != "none":
            yield "training.loss.class_weights", english("expected `none`, since {why}", why=why)

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; other numbers get one way of writing."""
        known = raw_labels.translation(data, names)

        def named(label: str) -> str:
            tidy = _tidy(label)
            return known.get(label) or known.get(tidy, tidy)

        keys = (raw_labels.one(value, names, known) for value in values)
        return [named(key) if isinstance(key, str) else key for key in keys]

    def ambiguities(
        self, values: Iterable[Any], data: Data, names: Sequence[str] | None
    ) -> Problems:
        keys = (raw_labels.one(value, names) for value in values)
        tidy = (_tidy(key) if isinstance(key, str) else None for key in keys)
        yield from raw_labels.undeclared(tidy, data, names)

    def vocabulary(
        self, counts: Mapping[str, int], data: Data
    ) -> tuple[list[str], tuple[float, ...]]:
        """The labels in their order, and the number that stands for each.

        The numbers are those that the labels are, where they are rising numbers; else positions
        from 0.
        """
        undeclared = label_names.declared(data) is None
        if undeclared and len(counts) > 1:
            _require_numbers(sorted(counts), data.columns.get(self.target, self.target))
        labels = label_names.vocabulary(counts, data, self.target)
        if undeclared:
            labels.sort(key=float)
        return labels, _scale(labels)

    def outputs(self, labels: Sequence[str]) -> int:
        return 1

    def initial_bias(self, facts: ClassificationFacts) -> float | None:
        """The mean position, which is the best constant."""
        return _mean(facts.frequencies)

    def objective(self, facts: ClassificationFacts, loss: Loss) -> SquaredError:
        return SquaredError(facts.frequencies)

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """Scores of shape (rows,): positions, moved into the scale, as numbers of the scale."""
        import numpy as np

        positions = logits.squeeze(-1).cpu().numpy()
        return {"score": np.interp(positions, range(len(facts.numbers)), facts.numbers)}

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        from tasks.applications.shared.classification.scores.ordinal import OrdinalScorer

        return OrdinalScorer(facts.labels, facts.numbers)

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """The median of the training labels, which has the least absolute error of all constants.

        Of two middle labels it is the lower one.
        """
        import numpy as np

        counts = np.array(facts.frequencies)
        median = int(np.searchsorted(counts.cumsum(), counts.sum() / 2))
        return {"score": np.full(rows, facts.numbers[median])}


def _number(label: str) -> float | None:
    """The finite number that a label is, if it is one."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _tidy(label: str) -> str:
    """Write 4, 4.0 and 04 the same way."""
    number = _number(label)
    if number is None:
        return label
    return str(int(number)) if number.is_integer() else repr(number)


def _require_numbers(labels: Sequence[str], column: str) -> None:
    words = [label for label in labels if _number(label) is None]
    if words:
        found = label_names.shown(words[0])
        message = english(
            "expected numbers, or words whose order is declared, found {found}", found=found
        )
        advice = english("list them in data.labels, lowest first")
        raise DataError.at(english("column {column!r}", column=column), message, advice)


def _scale(labels: Sequence[str]) -> tuple[float, ...]:
    numbers = [number for label in labels if (number := _number(label)) is not None]
    rising = all(low < high for low, high in pairwise(numbers))
    usable = rising and len(numbers) == len(labels)
    return tuple(numbers if usable else map(float, range(len(labels))))


def _mean(counts: list[int]) -> float:
    return sum(count * position for position, count in enumerate(counts)) / sum(counts)


class SquaredError(losses.RowObjective):
    """Squared error of the position on the scale, summed over rows.

    Args:
        counts: training rows of each label, in their order.
    """

    def __init__(self, counts: list[int]) -> None:
        mean = _mean(counts)
        squares = sum(count * (place - mean) ** 2 for place, count in enumerate(counts))
        self._variance = squares / sum(counts)

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return (outputs.float().squeeze(-1) - batch["labels"].float()).square().sum()

    def expected_initial(self, outputs: torch.Tensor) -> float:
        """The variance of the positions, which is the loss of their mean."""
        return self._variance
