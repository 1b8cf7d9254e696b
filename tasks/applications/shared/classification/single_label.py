"""One label a row: cross-entropy over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Metric, Predictions, Problems, text
from tasks.applications.scoring import error, shares
from tasks.applications.shared import losses
from tasks.applications.shared.classification import labels as label_names
from tasks.applications.shared.classification.facts import ClassificationFacts

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import Column

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.classification.scores.single_label import ClassificationScorer


class SingleLabel:
    """Exactly one of several labels."""

    target = "label"
    stored = staticmethod(text)
    problem_type = "single_label_classification"
    metrics: tuple[Metric, ...] = (
        *shares("accuracy", "macro_f1", "macro_precision", "macro_recall"),
        error("log_loss"),
        error("calibration_error", high=1.0),
    )
    primary_metric: str | None = None
    baseline_name = "majority class"

    def check(self, config: Pipeline) -> Problems:
        """Focal loss leaves no room for smoothed targets."""
        loss = config.training.loss
        if loss.name == "focal" and loss.label_smoothing:
            why = "expected 0 with `name: focal`, which is defined for targets that are certain"
            yield "training.loss.label_smoothing", why

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; an undeclared label stays as it is."""
        known = label_names.translation(data, names)
        raw = (label_names.one(value) for value in values)
        return [label and known.get(label, label) for label in raw]

    def column(self, declared: Sequence[str] | None) -> Column:
        from tasks.applications.shared.checks import label_column

        return label_column(declared)

    def vocabulary(
        self, counts: Mapping[str, int], data: Data
    ) -> tuple[list[str], tuple[float, ...]]:
        return label_names.vocabulary(counts, data), ()

    def store(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        return label_names.positions(values, labels)

    def outputs(self, labels: Sequence[str]) -> int:
        return len(labels)

    def initial_bias(self, facts: ClassificationFacts) -> float | None:
        return None

    def objective(self, facts: ClassificationFacts, loss: Loss) -> CrossEntropy:
        return CrossEntropy(class_weights(facts, loss), losses.of(loss))

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """Class probabilities of shape (rows, classes)."""
        return {"probabilities": logits.softmax(-1).cpu().numpy()}

    def scorer(self, facts: ClassificationFacts) -> ClassificationScorer:
        from tasks.applications.shared.classification.scores.single_label import (
            ClassificationScorer,
        )

        return ClassificationScorer(facts.labels)

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """The frequencies of the classes in training, so that the largest class is predicted."""
        import numpy as np

        counts = np.array(facts.frequencies, dtype=np.float64)
        return {"probabilities": np.tile(counts / counts.sum(), (rows, 1))}


def class_weights(facts: ClassificationFacts, loss: Loss) -> list[float] | None:
    """The weight of each class, in the order of the labels."""
    labels, counts = facts.labels, facts.counts
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        total = sum(counts.values())
        return [total / (len(labels) * counts[label]) for label in labels]
    return [loss.class_weights.get(label, 1.0) for label in labels]


class CrossEntropy:
    """A loss over classes, such as cross-entropy, summed over rows.

    Args:
        weights: of the classes, in their order; None weighs them equally.
        loss: from logits and targets to the sum of the losses.
    """

    def __init__(self, weights: list[float] | None, loss: losses.TargetLoss) -> None:
        import torch

        self.class_weights = None if weights is None else torch.tensor(weights)
        self.loss = loss

    def weight(self, batch: Batch) -> torch.Tensor:
        """Sum of the weights of the targets; the number of rows without class weights."""
        import torch

        targets = batch["labels"]
        if self.class_weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return self.class_weights.to(targets.device)[targets].sum()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.loss(outputs, batch["labels"], weights=self.class_weights)

    def expected_initial(self, outputs: torch.Tensor) -> float:
        """The loss of even probabilities."""
        return losses.of_even_guess(self.loss, outputs.shape[-1])
