"""Entities of a text: its parts that have a type, such as names and dates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Data
from tasks.applications.base import Application, Predictions, Scoring, Serving
from tasks.applications.entities.baseline import KnownEntities
from tasks.applications.entities.config import EntityPipeline
from tasks.applications.entities.conll import ENDINGS, Conll
from tasks.applications.entities.learning import NONE, EntityFacts, EntityLearning
from tasks.applications.entities.rows import EntityRows
from tasks.applications.entities.rules import EntityRules
from tasks.applications.entities.tokens import EntityTokens
from tasks.applications.scoring import Metric, Scorer, shares
from tasks.applications.shared.classification import labels

if TYPE_CHECKING:
    import pandas as pd


class EntityScoring(Scoring[EntityFacts]):
    """Strict metrics: exact characters and type."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        """Over all entities, and the means over their types."""
        return shares(
            *("f1", "precision", "recall"), *("macro_f1", "macro_precision", "macro_recall")
        )

    def scorer(self, facts: EntityFacts) -> Scorer:
        from tasks.applications.entities.scores import EntityScorer

        return EntityScorer(facts.labels)

    def served(self, predictions: pd.DataFrame) -> Predictions:
        return {"entities": [list(found) for found in predictions["entities"]]}

    def align(
        self, predictions: pd.DataFrame, theirs: EntityFacts, ours: EntityFacts
    ) -> tuple[pd.DataFrame, EntityFacts]:
        """Entities of the same types."""
        if set(theirs.labels) != set(ours.labels):
            raise ValueError(labels.difference(theirs.labels, ours.labels))
        return predictions, ours

    def categories(self, predictions: pd.DataFrame) -> list[str] | None:
        """The type of each entity; a row without entities counts once."""
        rows: list[list[dict[str, Any]]] = predictions["entities"].to_list()
        return [label for row in rows for label in ([one["label"] for one in row] or [NONE])]


APPLICATION = Application(
    name="entities",
    version=1,
    heads=("token-classification",),
    facts=EntityFacts,
    pipeline=EntityPipeline,
    rows=EntityRows(),
    rules=EntityRules(),
    learning=EntityLearning(),
    tokens=EntityTokens(),
    scoring=EntityScoring(),
    baseline=KnownEntities(),
    serving=Serving(Path(__file__).parent / "serving.py"),
    sources=dict.fromkeys(ENDINGS, Conll),
)
