"""Any number of labels per row: a yes or no for each label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from configs.language import english
from configs.schema import Data, Pipeline
from configs.training import Loss
from tasks.applications.base import Batch, Predictions, Problems
from tasks.applications.rows import texts
from tasks.applications.scoring import Metric, Scorer, error, shares
from tasks.applications.shared import losses
from tasks.applications.shared.classification import raw_labels
from tasks.applications.shared.classification.base import Labelling
from tasks.applications.shared.classification.labels import ClassificationFacts, class_weights

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import Column


class MultiLabel(Labelling):
    """A set of labels, possibly empty."""

    target = "labels"
    problem_type = "multi_label_classification"
    metrics: tuple[Metric, ...] = (
        *shares("micro_f1", "macro_f1", "subset_accuracy"),
        error("hamming_loss", high=1.0),
        *shares("macro_average_precision"),
    )
    primary_metric = "micro_f1"
    baseline_name = english("label shares")

    def stored(self) -> pa.DataType:
        return texts()

    def check(self, config: Pipeline) -> Problems:
        """Label smoothing needs exactly one right class, and here there are any number."""
        if config.training.loss.name not in losses.LOSSES.built_in:
            yield (
                "training.loss.name",
                english("expected `cross_entropy` or `focal`, the losses of a label"),
            )
        if config.training.loss.label_smoothing:
            yield "training.loss.label_smoothing", english("expected 0 with `labelling: multiple`")

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Sets as lists of names without repetition; what is not a set stays as it is."""
        known = raw_labels.translation(data, names)
        return [_label_set(value, data.label_separator, known, names) for value in values]

    def ambiguities(
        self, values: Iterable[Any], data: Data, names: Sequence[str] | None
    ) -> Problems:
        """Rows of flags besides, which are no names either."""
        read = (raw_labels.pieces(value, data.label_separator) for value in values)
        rows = [row for row in read if row is not None]
        found = list(raw_labels.flags(rows, data, names))
        keys = (raw_labels.one(value, names) for row in rows for value in row)
        yield from found or raw_labels.undeclared(keys, data, names)

    def column(self, declared: Sequence[str] | None) -> Column:
        from tasks.applications.shared.checks import label_set_column

        return label_set_column(declared)

    def store(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """A 0 or 1 for each label of the vocabulary."""
        return [[int(label in held) for label in labels] for held in map(frozenset, values)]

    def names(self, value: Any, labels: Sequence[str]) -> Any:
        """The names of the labels, sorted."""
        return sorted(label for label, held in zip(labels, value, strict=True) if held)

    def objective(self, facts: ClassificationFacts, loss: Loss) -> BinaryCrossEntropy:
        gamma = loss.focal_gamma if loss.name == "focal" else 0.0
        counts, rows = facts.frequencies, facts.rows
        # A row with a label and the rows without it count the same in sum, as in scikit-learn.
        weights = class_weights(facts, loss, lambda count: (rows - count) / max(count, 1) or 1.0)
        return BinaryCrossEntropy([count / rows for count in counts], weights, gamma)

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """The probability of each label, of shape (rows, labels)."""
        return {"probabilities": logits.sigmoid().cpu().numpy()}

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        """Metrics over sets of labels; without a threshold in ``facts`` it tunes one."""
        from tasks.applications.shared.classification.scores.multi_label import MultiLabelScorer

        return MultiLabelScorer(facts.labels, facts.threshold)

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """The share of training rows that have each label."""
        import numpy as np

        shares = np.array([count / facts.rows for count in facts.frequencies])
        return {"probabilities": np.tile(shares, (rows, 1))}


def _label_set(
    value: object, separator: str, known: dict[str, str], names: Sequence[str] | None
) -> object:
    pieces = raw_labels.pieces(value, separator)
    # A missing value is not an empty set: nobody has labelled that row.
    keys = [None] if pieces is None else [raw_labels.one(piece, names, known) for piece in pieces]
    if not all(isinstance(key, str) for key in keys):
        return value
    return list(dict.fromkeys(known.get(str(key), str(key)) for key in keys))


class BinaryCrossEntropy(losses.RowObjective):
    """Binary cross-entropy with logits, mean over labels, summed over rows.

    With ``gamma`` above 0 each term is multiplied by (1 - p) ** gamma, where p is the probability
    of what is true (Lin et al. 2017, eq. 4).

    Args:
        shares: the share of the training rows that have each label.
        weights: of the terms of labels that a row has (``pos_weight``).
        gamma: how strongly easy terms are weighed down.
    """

    def __init__(self, shares: list[float], weights: list[float] | None, gamma: float) -> None:
        import torch

        pairs = zip(shares, weights or [1.0] * len(shares), strict=True)
        mean = sum(share * weight + 1 - share for share, weight in pairs) / len(shares)
        self._even: float = mean * math.log(2) * 0.5**gamma
        self.weights = None if weights is None else torch.tensor(weights)
        self.gamma = gamma

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over rows of the mean over labels."""
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        logits, targets = outputs.float(), batch["labels"].float()
        weights = None if self.weights is None else self.weights.to(logits.device)
        losses = cross_entropy(logits, targets, pos_weight=weights, reduction="none")
        if self.gamma:
            surprise = cross_entropy(logits, targets, reduction="none")
            # Not 1 - exp(-x), whose rounding to 0 has an infinite slope for gamma below 1.
            losses = losses * (-(-surprise).expm1()).clamp(min=1e-12) ** self.gamma
        return losses.mean(-1).sum()

    def expected_initial(self, outputs: torch.Tensor) -> float:
        return self._even
