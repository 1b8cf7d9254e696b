"""Rows of a classifier: one text or a pair of texts, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Column, Problems, Rows, Rules
from tasks.applications.shared.classification import labelling
from tasks.applications.shared.classification import labels as label_names
from tasks.applications.shared.classification.labels import ClassificationFacts

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Pipeline
    from tasks.applications.census import Census

PAIR = "text_pair"


class ClassificationRows(Rows[ClassificationFacts]):
    """Texts, and labels as ``data.labelling`` says."""

    one_target_per_input = True

    def columns(self, data: Data) -> tuple[Column, ...]:
        kind = labelling.get(data.labelling)
        target = Column(kind.target, "target", stored=kind.stored)
        return (Column("text", "text"), Column(PAIR, "text", optional=True), target)

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Replace raw labels by their names; an undeclared label stays as it is."""
        import pandas as pd

        kind = labelling.get(data.labelling)
        named = kind.normalize(frame[kind.target], data, names)
        # An object column, since others have NaN for None.
        frame[kind.target] = pd.Series(named, index=frame.index, dtype=object)

    def target_keys(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        return frame["labels"].map(tuple) if "labels" in frame else frame["label"]

    def store(self, frame: pd.DataFrame, facts: ClassificationFacts) -> dict[str, Any]:
        kind = labelling.get(facts.labelling)
        texts = {name: frame[name] for name in facts.inputs}
        return texts | {kind.target: kind.store(frame[kind.target], facts.labels)}


class ClassificationRules(Rules[ClassificationFacts]):
    """Checks of labels and of the settings about them."""

    def check(self, config: Pipeline) -> Problems:
        """Losses that the labelling does not have, and a separator without a use."""
        usual = type(config.data).model_fields["label_separator"].default
        if config.data.labelling != "multiple" and config.data.label_separator != usual:
            yield (
                "data.label_separator",
                "expected none, since only `labelling: multiple` has a use for it",
            )
        yield from labelling.get(config.data.labelling).check(config)

    def check_facts(self, config: Pipeline, facts: ClassificationFacts) -> Problems:
        """Class weights of labels that the data does not have."""
        weights = config.training.loss.class_weights
        unknown = sorted(set(weights) - set(facts.labels)) if isinstance(weights, dict) else []
        if unknown:
            known = ", ".join(map(label_names.shown, facts.labels[:20]))
            reason = f"expected labels of the data ({known}), found {', '.join(unknown)}"
            yield "training.loss.class_weights", reason

    def schema(self, config: Pipeline) -> DataFrameSchema:
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import text_column

        kind = labelling.get(config.data.labelling)
        target = kind.column(label_names.declared(config.data))
        pair = text_column(required=False)
        return DataFrameSchema({"text": text_column(), PAIR: pair, kind.target: target})

    def dataset_problems(
        self, census: Census, facts: ClassificationFacts, minimum: int
    ) -> list[str]:
        return list(label_names.problems(census, facts.labels, minimum))
