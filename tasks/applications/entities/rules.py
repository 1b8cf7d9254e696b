"""Checks of entities and of the settings about them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from configs.language import english
from tasks.applications.base import Problems, Reasons, Rules, broken_rules
from tasks.applications.entities.annotations import Broken, is_read, misplaced
from tasks.applications.entities.config import EntityPipeline
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.facts import Census
from tasks.applications.shared.classification import labels

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema


class EntityRules(Rules[EntityFacts, EntityPipeline]):
    """Entities are parts of their text, and do not overlap."""

    def check(self, config: EntityPipeline) -> Problems:
        loss = config.training.loss
        if config.data.labelling != "single":
            yield "data.labelling", english("rows have any number of entities; leave it out")
        if loss.class_weights != "none":
            yield (
                "training.loss.class_weights",
                english("entities weigh all tags alike; leave it out"),
            )
        if config.model.prefix:
            yield (
                "model.prefix",
                english("entities are characters of the text itself; leave it out"),
            )
        length, stride = config.model.max_length, config.tagging.stride
        declared = "stride" in config.tagging.model_fields_set
        if declared and isinstance(length, int) and stride > length // 2:
            reason = english(
                "expected at most half of model.max_length, {length}, found {stride}",
                length=length // 2,
                stride=stride,
            )
            yield "tagging.stride", reason

    def schema(self, config: EntityPipeline) -> DataFrameSchema:
        from pandera.pandas import Column as Checked
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import cell, text_column

        words = english(
            "expected a list of `start` and `end`, whole numbers, and `label`, a text; or a tag, a "
            "text, for each token"
        )
        entities = Checked(object, [cell("wrong_type", words, is_read)], nullable=False)
        return DataFrameSchema({"text": text_column(), "entities": entities})

    def findings(self, frame: pd.DataFrame, config: EntityPipeline) -> Reasons:
        listed = labels.declared(config.data)
        declared = None if listed is None else frozenset(listed)
        return broken_rules(frame, ("text", "entities"), partial(_broken, declared=declared))

    def dataset_problems(self, census: Census, facts: EntityFacts, minimum: int) -> list[str]:
        """Types with too few training rows, types that training lacks, and splits without any."""
        empty = [split for split in ("validation", "test") if not census.labels(split)]
        missing = [
            english("no row of the {split} split has an entity", split=split) for split in empty
        ]
        return [*labels.problems(census, facts.labels, minimum), *missing]


def _broken(
    text: str, entities: list[dict[str, Any]] | Broken, declared: frozenset[str] | None
) -> Problems:
    if isinstance(entities, Broken):
        yield from entities.reasons
        return
    # Checked again, since a placeholder for private data may have joined two entities.
    yield from misplaced(text, entities)
    for number, entity in enumerate(entities, 1):
        if declared is not None and entity["label"] not in declared:
            yield (
                "unknown_label",
                english("entity {number}: its type is not declared", number=number),
            )
