"""How rows are labelled: everything of a classifier that depends on ``data.labelling``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tasks.applications.base import Metric, Objective, Predictions, Problems, Scorer
from tasks.applications.shared.classification.facts import ClassificationFacts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import Column as Check

    from configs.schema import Data, Loss, Pipeline


class Labelling(Protocol):
    """One label per row, any number of them, or one step of a scale."""

    target: str
    """The column with the labels."""
    stored: Callable[[], pa.DataType]
    """Makes the Arrow type of a valid cell of it."""
    problem_type: str
    """Its name in Transformers."""
    metrics: tuple[Metric, ...]
    primary_metric: str | None
    """The default primary metric; None leaves the choice to the application."""
    baseline_name: str
    """What :meth:`baseline` predicts, in two or three words."""

    def check(self, config: Pipeline) -> Problems:
        """Settings that make no sense for it: where, and why."""

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; None where the value is missing."""

    def column(self, declared: Sequence[str] | None) -> Check:
        """The check of the target column; ``declared`` are the names that the config lists."""

    def vocabulary(
        self, counts: Mapping[str, int], data: Data
    ) -> tuple[list[str], tuple[float, ...]]:
        """The labels in their frozen order, and the number for each if they are a scale.

        Raises:
            DataError: such labels cannot be learned.
        """

    def store(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """Labels as integers, or as lists of integers."""

    def outputs(self, labels: Sequence[str]) -> int:
        """Numbers that the model puts out for a row."""

    def initial_bias(self, facts: ClassificationFacts) -> float | None:
        """The initial bias of a head with one output; None keeps the model's own."""

    def objective(self, facts: ClassificationFacts, loss: Loss) -> Objective:
        """The training loss."""

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """Predictions from logits of shape (rows, outputs), in the form that the scorer takes."""

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        """A fresh scorer."""

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """A constant prediction per row, from the frequencies of the training labels."""


def get(name: str) -> Labelling:
    """Find a labelling by its name in the config."""
    from tasks.applications.shared.classification.multi_label import MultiLabel
    from tasks.applications.shared.classification.ordinal import Ordinal
    from tasks.applications.shared.classification.single_label import SingleLabel

    kinds: dict[str, Labelling] = {
        "single": SingleLabel(),
        "multiple": MultiLabel(),
        "ordinal": Ordinal(),
    }
    return kinds[name]
