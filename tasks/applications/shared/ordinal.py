"""One step of an ordered scale a row, such as stars: regression on the position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from tasks.applications.base import Batch, Facts, Predictions
from tasks.applications.shared import labels as label_names
from tasks.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import Column

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.ordinal_scores import OrdinalScorer


class Ordinal:
    """Exactly one of several labels that have an order."""

    target = "label"
    stored: Literal["text", "texts"] = "text"
    problem_type = "regression"
    metrics: tuple[str, ...] = (
        "mean_absolute_error",
        "accuracy",
        "macro_f1",
        "within_one",
        "quadratic_weighted_kappa",
    )
    headline: str | None = "mean_absolute_error"
    baseline_name = "median label"

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """The loss is the squared error, which has no classes."""
        loss, why = config.training.loss, "`labelling: ordinal` minimizes the squared error"
        if loss.name != "cross_entropy":
            yield "training.loss.name", f"expected none, since {why}"
        if loss.label_smoothing:
            yield "training.loss.label_smoothing", f"expected 0, since {why}"
        if loss.class_weights != "none":
            yield "training.loss.class_weights", f"expected `none`, since {why}"

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; other numbers get one way of writing."""
        known = label_names.translation(data, names)

        def named(label: str) -> str:
            tidy = _tidy(label)
            return known.get(label) or known.get(tidy, tidy)

        raw = (label_names.one(value) for value in values)
        return [named(label) if isinstance(label, str) else label for label in raw]

    def contract(self, declared: Sequence[str] | None) -> Column:
        """A label that is declared."""
        from tasks.applications.shared.checks import label_column

        return label_column(declared)

    def learn(self, counts: Mapping[str, int], data: Data) -> Facts:
        """Freeze the labels in their order, and the number that stands for each.

        The numbers are those that the labels are, where they are rising numbers; else positions
        from 0.
        """
        labels = label_names.vocabulary(counts, data, self.target)
        if label_names.declared(data) is None:
            _require_numbers(labels, data.columns.get(self.target, self.target))
            labels.sort(key=float)
        return {"labels": labels, "scale": _scale(labels)}

    def finish(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """Positions on the scale."""
        return label_names.positions(values, labels)

    def outputs(self, labels: Sequence[str]) -> int:
        """One number, the position on the scale."""
        return 1

    def first_bias(self, facts: Facts) -> float | None:
        """The mean position, from which what texts say is to be learned."""
        return _mean([facts["counts"][label] for label in facts["labels"]])

    def objective(self, facts: Facts, loss: Loss) -> SquaredError:
        """The squared error of the position."""
        return SquaredError([facts["counts"][label] for label in facts["labels"]])

    def predictions(self, logits: torch.Tensor, facts: Facts) -> Predictions:
        """Scores of shape (rows,): positions, moved into the scale, as numbers of the scale."""
        import numpy as np

        positions = logits.squeeze(-1).cpu().numpy()
        return {"score": np.interp(positions, range(len(facts["scale"])), facts["scale"])}

    def scorer(self, facts: Facts) -> OrdinalScorer:
        """Metrics over positions."""
        from tasks.applications.shared.ordinal_scores import OrdinalScorer

        return OrdinalScorer(facts["labels"], facts["scale"])

    def baseline(self, rows: int, facts: Facts) -> Predictions:
        """The median of the training labels, which has the least absolute error of all constants.

        Of two middle labels it is the lower one.
        """
        import numpy as np

        counts = np.array([facts["counts"][label] for label in facts["labels"]])
        median = int(np.searchsorted(counts.cumsum(), counts.sum() / 2))
        return {"score": np.full(rows, facts["scale"][median])}


def _tidy(label: str) -> str:
    """Write 4, 4.0 and 04 the same way."""
    number = label_names.number(label)
    if number is None:
        return label
    return str(int(number)) if number.is_integer() else repr(number)


def _require_numbers(labels: Sequence[str], column: str) -> None:
    words = [label for label in labels if label_names.number(label) is None]
    if words:
        found = label_names.shown(words[0])
        message = f"expected numbers, or words whose order is declared, found {found}"
        advice = "list them in data.labels, lowest first"
        raise DataError(Problem(f"column {column!r}", message, advice))


def _scale(labels: Sequence[str]) -> list[float]:
    numbers = [number for label in labels if (number := label_names.number(label)) is not None]
    rising = all(low < high for low, high in pairwise(numbers))
    usable = rising and len(numbers) == len(labels)
    return numbers if usable else [float(position) for position in range(len(labels))]


def _mean(counts: list[int]) -> float:
    return sum(count * position for position, count in enumerate(counts)) / sum(counts)


class SquaredError:
    """Squared error of the position on the scale, summed over rows.

    Args:
        counts: training rows of each label, in their order.
    """

    def __init__(self, counts: list[int]) -> None:
        mean = _mean(counts)
        squares = sum(count * (place - mean) ** 2 for place, count in enumerate(counts))
        self.expected_initial = squares / sum(counts)

    def weight(self, batch: Batch) -> torch.Tensor:
        """The number of rows."""
        import torch

        targets = batch["labels"]
        return torch.tensor(float(len(targets)), device=targets.device)

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum of the squared errors of the rows."""
        return (outputs.float().squeeze(-1) - batch["labels"].float()).square().sum()
