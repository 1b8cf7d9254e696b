"""How rows are labelled: everything of a classifier that depends on ``data.labelling``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tasks.applications.base import Facts, Objective, Predictions, Scorer

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import Column as Check

    from configs.schema import Data, Loss, Pipeline


class Labelling(Protocol):
    """One label a row, any number of them, or one step of a scale."""

    target: str
    """The column with the labels."""
    stored: Literal["text", "texts"]
    """The form of a valid cell of it."""
    problem_type: str
    """What Transformers calls it."""
    metrics: tuple[str, ...]
    headline: str | None
    """The metric that counts; None leaves the choice to the application."""
    baseline_name: str
    """What :meth:`baseline` answers, in two or three words."""

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Settings that make no sense for it: where, and why."""

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; None where the value is missing."""

    def contract(self, declared: Sequence[str] | None) -> Check:
        """The check of the target column; ``declared`` are the names that the config lists."""

    def learn(self, counts: Mapping[str, int], data: Data) -> Facts:
        """Freeze the labels, as ``labels``, and whatever else the training rows teach.

        Raises:
            DataError: such labels cannot be learned.
        """

    def finish(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """Labels as integers, or as lists of integers."""

    def outputs(self, labels: Sequence[str]) -> int:
        """Numbers that the model puts out for a row."""

    def first_bias(self, facts: Facts) -> float | None:
        """What the bias of the only output starts from; None leaves it to the model."""

    def objective(self, facts: Facts, loss: Loss) -> Objective:
        """The training loss."""

    def predictions(self, logits: torch.Tensor, facts: Facts) -> Predictions:
        """What logits of shape (rows, outputs) say, in the form that the scorer takes."""

    def scorer(self, facts: Facts) -> Scorer:
        """A fresh scorer."""

    def baseline(self, rows: int, facts: Facts) -> Predictions:
        """The same answer to every row, from the frequencies of the training labels alone."""


def get(name: str) -> Labelling:
    """Find a labelling by its name in the config."""
    from tasks.applications.shared.multi_label import MultiLabel
    from tasks.applications.shared.ordinal import Ordinal
    from tasks.applications.shared.single_label import SingleLabel

    kinds: dict[str, Labelling] = {
        "single": SingleLabel(),
        "multiple": MultiLabel(),
        "ordinal": Ordinal(),
    }
    return kinds[name]
