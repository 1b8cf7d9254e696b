"""Text classification: the parts that its applications share, put together."""

from __future__ import annotations

from pathlib import Path

from tasks.applications.base import Application, Serving
from tasks.applications.shared.classification.facts import ClassificationFacts
from tasks.applications.shared.classification.learning import ClassificationLearning
from tasks.applications.shared.classification.rows import ClassificationRows, ClassificationRules
from tasks.applications.shared.classification.scoring import (
    ClassificationScoring,
    ConstantPrediction,
)
from tasks.applications.shared.classification.tokens import ClassificationTokens


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
