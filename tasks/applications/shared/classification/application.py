"""Text classification: the parts that its applications share, put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.applications.base import (
    Application,
    Baseline,
    Metric,
    Predictions,
    Scorer,
    Scoring,
    Serving,
)
from tasks.applications.shared.classification import labelling
from tasks.applications.shared.classification.labels import ClassificationFacts, difference
from tasks.applications.shared.classification.learning import ClassificationLearning
from tasks.applications.shared.classification.rows import ClassificationRows, ClassificationRules
from tasks.applications.shared.classification.tokens import ClassificationTokens

if TYPE_CHECKING:
    import pandas as pd

    from configs.schema import Data


class ClassificationScoring(Scoring[ClassificationFacts]):
    """The metrics of the labelling.

    Args:
        primary_metric: the default primary metric where rows have one label each.
    """

    def __init__(self, primary_metric: str) -> None:
        self._primary_metric = primary_metric

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        return labelling.get(data.labelling).metrics

    def extensible(self, data: Data) -> bool:
        return data.labelling == "single"

    def primary_metric(self, data: Data) -> str:
        """The application's choice for one label per row, else the labelling's."""
        return labelling.get(data.labelling).primary_metric or self._primary_metric

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        return labelling.get(facts.labelling).scorer(facts)

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """The probabilities of the registered model; of ordinal labels, the scores."""
        import numpy as np

        name = "probabilities" if "probabilities" in predictions else "score"
        return {name: np.asarray(predictions[name].to_list())}

    def align(
        self, predictions: pd.DataFrame, theirs: ClassificationFacts, ours: ClassificationFacts
    ) -> tuple[pd.DataFrame, ClassificationFacts]:
        """The same labels in this model's order, and the other's threshold."""
        if sorted(theirs.labels) != sorted(ours.labels):
            raise ValueError(difference(theirs.labels, ours.labels))
        if ours.scale and theirs.labels != ours.labels:
            raise ValueError("another order of its labels")
        threshold = ours.threshold if theirs.threshold is None else theirs.threshold
        facts = replace(ours, threshold=threshold)
        if "probabilities" not in predictions:
            return predictions, facts
        order = [theirs.labels.index(label) for label in ours.labels]
        aligned = predictions.copy()
        aligned["probabilities"] = [[r[at] for at in order] for r in predictions["probabilities"]]
        return aligned, facts

    def categories(self, predictions: pd.DataFrame) -> list[str] | None:
        """The labels; a row with several counts for each."""
        name = "labels" if "labels" in predictions else "label"
        return [str(label) for label in predictions[name].explode().dropna()]


class ConstantPrediction(Baseline[ClassificationFacts]):
    """The same prediction for every row, from the frequencies of the training labels."""

    def name(self, data: Data) -> str:
        return labelling.get(data.labelling).baseline_name

    def predict(self, frame: pd.DataFrame, facts: ClassificationFacts) -> Predictions:
        return labelling.get(facts.labelling).baseline(len(frame), facts)


def classification(name: str, version: int, primary_metric: str) -> Application:
    """An application with one text, or a pair of texts, in and labels out.

    Args:
        name: as ``application`` in a pipeline file.
        version: raised when a change makes earlier stage outputs wrong.
        primary_metric: the default primary metric where rows have one label each.
    """
    return Application(
        name=name,
        version=version,
        heads=("sequence-classification",),
        facts=ClassificationFacts,
        rows=ClassificationRows(),
        rules=ClassificationRules(),
        learning=ClassificationLearning(),
        tokens=ClassificationTokens(),
        scoring=ClassificationScoring(primary_metric),
        baseline=ConstantPrediction(),
        serving=Serving(Path(__file__).parent / "serving.py"),
    )
