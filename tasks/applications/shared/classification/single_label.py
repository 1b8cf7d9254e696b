"""One label per row: cross-entropy over classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from configs.language import english
from configs.schema import Pipeline
from configs.training import Loss
from tasks.applications.base import Batch, Predictions, Problems
from tasks.applications.scoring import Metric, Scorer, error, shares
from tasks.applications.shared import losses
from tasks.applications.shared.classification.base import Labelling
from tasks.applications.shared.classification.labels import ClassificationFacts, class_weights

if TYPE_CHECKING:
    import torch


class SingleLabel(Labelling):
    """Exactly one of several labels."""

    problem_type = "single_label_classification"
    metrics: tuple[Metric, ...] = (
        *shares("accuracy", "macro_f1", "macro_precision", "macro_recall"),
        error("log_loss"),
        error("calibration_error", high=1.0),
    )
    baseline_name = english("majority class")

    def check(self, config: Pipeline) -> Problems:
        """Focal loss and label smoothing exclude each other."""
        loss = config.training.loss
        if loss.name == "focal" and loss.label_smoothing:
            why = english(
                "expected 0 with `name: focal`, which is defined for targets that are certain"
            )
            yield "training.loss.label_smoothing", why

    def objective(self, facts: ClassificationFacts, loss: Loss) -> CrossEntropy:
        total, size = sum(facts.counts.values()), len(facts.labels)
        weights = class_weights(facts, loss, lambda count: total / (size * count))
        return CrossEntropy(weights, losses.of(loss))

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """Class probabilities of shape (rows, classes)."""
        return {"probabilities": logits.softmax(-1).cpu().numpy()}

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        from tasks.applications.shared.classification.scores.single_label import (
            ClassificationScorer,
        )

        return ClassificationScorer(facts.labels)

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """The frequencies of the classes in training, so that the largest class is predicted."""
        import numpy as np

        counts = np.array(facts.frequencies, dtype=np.float64)
        return {"probabilities": np.tile(counts / counts.sum(), (rows, 1))}


class CrossEntropy(losses.TargetObjective):
    """A loss over classes, such as cross-entropy, summed over rows.

    The ``weights`` are those of the classes; None weighs them equally.
    """

    def __init__(self, weights: list[float] | None, loss: losses.TargetLoss) -> None:
        import torch

        super().__init__(loss)
        self.class_weights = None if weights is None else torch.tensor(weights)

    def weight(self, batch: Batch) -> torch.Tensor:
        """Sum of the weights of the targets; the number of rows without class weights."""
        import torch

        targets = batch["labels"]
        if self.class_weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return self.class_weights.to(targets.device)[targets].sum()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.loss(outputs, batch["labels"], weights=self.class_weights)
