"""One label a row: cross-entropy over classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tasks.applications.base import Batch, Facts, Predictions
from tasks.applications.shared import labels as label_names

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import Column

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.classification_scores import ClassificationScorer


class SingleLabel:
    """Exactly one of several labels."""

    target = "label"
    stored: Literal["text", "texts"] = "text"
    problem_type = "single_label_classification"
    metrics: tuple[str, ...] = (
        "accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "log_loss",
        "calibration_error",
    )
    headline: str | None = None
    baseline_name = "majority class"

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
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

    def contract(self, declared: Sequence[str] | None) -> Column:
        """A label that is declared."""
        from tasks.applications.shared.checks import label_column

        return label_column(declared)

    def learn(self, counts: Mapping[str, int], data: Data) -> Facts:
        """Freeze the labels."""
        return {"labels": label_names.vocabulary(counts, data)}

    def finish(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """Positions in the vocabulary."""
        return label_names.positions(values, labels)

    def outputs(self, labels: Sequence[str]) -> int:
        """A logit for each label."""
        return len(labels)

    def first_bias(self, facts: Facts) -> float | None:
        """That of the model."""
        return None

    def objective(self, facts: Facts, loss: Loss) -> CrossEntropy:
        """Cross-entropy or focal loss, with label smoothing and class weights."""
        return CrossEntropy(len(facts["labels"]), class_weights(facts, loss), loss)

    def predictions(self, logits: torch.Tensor, facts: Facts) -> Predictions:
        """Class probabilities of shape (rows, classes)."""
        return {"probabilities": logits.softmax(-1).cpu().numpy()}

    def scorer(self, facts: Facts) -> ClassificationScorer:
        """Metrics over single-label predictions."""
        from tasks.applications.shared.classification_scores import ClassificationScorer

        return ClassificationScorer(facts["labels"])

    def baseline(self, rows: int, facts: Facts) -> Predictions:
        """The frequencies of the classes in training, so that the largest class is predicted."""
        import numpy as np

        counts = np.array([facts["counts"][label] for label in facts["labels"]], dtype=np.float64)
        return {"probabilities": np.tile(counts / counts.sum(), (rows, 1))}


def class_weights(facts: Facts, loss: Loss) -> list[float] | None:
    """The weight of each class, in the order of the labels."""
    labels, counts = facts["labels"], facts["counts"]
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        total = sum(counts.values())
        return [total / (len(labels) * counts[label]) for label in labels]
    return [loss.class_weights.get(label, 1.0) for label in labels]


class CrossEntropy:
    """Cross-entropy over classes (``torch.nn.functional.cross_entropy``) or focal loss, summed."""

    def __init__(self, classes: int, weights: list[float] | None, loss: Loss) -> None:
        import torch

        self.gamma = loss.focal_gamma if loss.name == "focal" else None
        self.expected_initial = math.log(classes) * (1 - 1 / classes) ** (self.gamma or 0.0)
        self.class_weights = None if weights is None else torch.tensor(weights)
        self.label_smoothing = loss.label_smoothing

    def weight(self, batch: Batch) -> torch.Tensor:
        """Sum of the weights of the targets; the number of rows without class weights."""
        import torch

        targets = batch["labels"]
        if self.class_weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return self.class_weights.to(targets.device)[targets].sum()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weighted sum of the losses of the rows."""
        from tasks.applications.shared.losses import cross_entropy_sum

        return cross_entropy_sum(
            outputs,
            batch["labels"],
            weights=self.class_weights,
            label_smoothing=self.label_smoothing,
            focal_gamma=self.gamma,
        )
