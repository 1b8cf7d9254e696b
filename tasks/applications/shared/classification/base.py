"""The interface of a labelling: everything of a classifier that depends on ``data.labelling``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from configs.schema import Data, Pipeline
from configs.training import Loss
from tasks.applications.base import Objective, Predictions, Problems
from tasks.applications.rows import text
from tasks.applications.scoring import Metric, Scorer
from tasks.applications.shared.classification import labels as label_names
from tasks.applications.shared.classification import raw_labels
from tasks.applications.shared.classification.labels import ClassificationFacts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import Column as Check


class Labelling:
    """How rows are labelled; by default with one label each."""

    target = "label"
    """The column with the labels."""
    problem_type: str
    """Its name in Transformers."""
    metrics: tuple[Metric, ...]
    primary_metric: str | None = None
    """The default primary metric; None leaves the choice to the application."""
    baseline_name: str
    """What :meth:`baseline` predicts, in two or three words."""

    def stored(self) -> pa.DataType:
        """The Arrow type of a valid cell of the column with the labels."""
        return text()

    def check(self, config: Pipeline) -> Problems:
        """Settings that make no sense for it: where, and why."""
        yield from ()

    def normalize(
        self, values: pd.Series[Any], data: Data, names: Sequence[str] | None
    ) -> list[Any]:
        """Replace raw labels by their names; None where the value is missing.

        An undeclared label stays as it is.
        """
        known = raw_labels.translation(data, names)
        keys = (raw_labels.one(value, names, known) for value in values)
        return [key and known.get(key, key) for key in keys]

    def ambiguities(
        self, values: Iterable[Any], data: Data, names: Sequence[str] | None
    ) -> Problems:
        """Raw labels that can be read in two ways: what is found, and what to write."""
        keys = (raw_labels.one(value, names) for value in values)
        yield from raw_labels.undeclared(keys, data, names)

    def column(self, declared: Sequence[str] | None) -> Check:
        """The check of the target column; ``declared`` are the names that the config lists."""
        from tasks.applications.shared.checks import label_column

        return label_column(declared)

    def vocabulary(
        self, counts: Mapping[str, int], data: Data
    ) -> tuple[list[str], tuple[float, ...]]:
        """The labels in their frozen order, and the number for each if they are a scale.

        Raises:
            DataError: such labels cannot be learned.
        """
        return label_names.vocabulary(counts, data, self.target), ()

    def store(self, values: pd.Series[Any], labels: Sequence[str]) -> list[Any]:
        """Labels as positions in the vocabulary, or as lists of integers."""
        return label_names.positions(values, labels)

    def names(self, value: Any, labels: Sequence[str]) -> Any:
        """What :meth:`store` was given."""
        return labels[value]

    def outputs(self, labels: Sequence[str]) -> int:
        """Numbers that the model puts out for a row; by default a logit for each label."""
        return len(labels)

    def initial_bias(self, facts: ClassificationFacts) -> float | None:
        """The initial bias of a head with one output; None keeps the model's own."""
        return None

    def objective(self, facts: ClassificationFacts, loss: Loss) -> Objective:
        """The training loss."""
        raise NotImplementedError

    def predictions(self, logits: torch.Tensor, facts: ClassificationFacts) -> Predictions:
        """Predictions from logits of shape (rows, outputs), in the form that the scorer takes."""
        raise NotImplementedError

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        """A fresh scorer."""
        raise NotImplementedError

    def baseline(self, rows: int, facts: ClassificationFacts) -> Predictions:
        """A constant prediction per row, from the frequencies of the training labels."""
        raise NotImplementedError
