"""Facts, model and loss of entities, for any model with a token-classification head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from configs.errors import DataError
from configs.language import english
from configs.schema import Data
from configs.training import Loss
from tasks.applications.base import Batch, Facts, Learning, Objective, Predictions, View
from tasks.applications.entities.config import EntityPipeline
from tasks.applications.facts import Census
from tasks.applications.shared import losses
from tasks.applications.shared.classification import labels

if TYPE_CHECKING:
    import torch


MOST_TYPES = 1000
NONE: Final = "(none)"
"""Stands for a type where there is no entity."""


@dataclass(frozen=True, kw_only=True)
class EntityFacts(Facts):
    """What a model that finds entities freezes: their types in order, and ``tagging.stride``."""

    labels: tuple[str, ...]
    stride: int = 0


class EntityLearning(Learning[EntityFacts, EntityPipeline]):
    """A logit per token for O, and for B and I of each type."""

    def learn(self, census: Census, data: Data) -> EntityFacts:
        counts = census.labels("train")
        where = english("column {entities!r}", entities=data.columns.get("entities", "entities"))
        if not counts:
            raise DataError.at(where, english("no training row has an entity"))
        if len(counts) > MOST_TYPES:
            message = english(
                "expected the types of entities, found {counts} different ones", counts=len(counts)
            )
            raise DataError.at(where, message, english("are the entities' texts in their labels?"))
        if not (types := labels.declared(data)):
            labels.require_one_reading(counts, where)
            types = tuple(sorted(counts))
        return EntityFacts(inputs=("text",), labels=types)

    def configure(self, facts: EntityFacts, config: EntityPipeline) -> EntityFacts:
        return replace(facts, stride=config.tagging.stride)

    def model_arguments(self, facts: EntityFacts) -> dict[str, Any]:
        """The names of the tags."""
        tags = ["O", *(f"{prefix}-{name}" for name in facts.labels for prefix in "BI")]
        return {
            "num_labels": len(tags),
            "id2label": dict(enumerate(tags)),
            "label2id": {tag: at for at, tag in enumerate(tags)},
        }

    def objective(self, facts: EntityFacts, loss: Loss) -> Objective:
        return losses.TokenLoss(losses.of(loss))

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """The entities of each window; the scorer puts the windows of a row together."""
        from tasks.applications.entities import serving

        positions = batch["row"].cpu().numpy()
        found = serving.find_entities(
            outputs, batch["offset_start"], batch["offset_end"], view.facts.labels
        )
        parts = zip(found, batch["begin"].tolist(), batch["stop"].tolist(), strict=True)
        entities = [[one._asdict() for one in serving.own(*part)] for part in parts]
        targets = {"entities": view.rows.take(positions)["entities"].to_pylist()}
        return targets, {"row": positions.tolist(), "entities": entities}
