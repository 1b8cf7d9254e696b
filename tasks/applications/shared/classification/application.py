"""Text classification: the parts that its applications share, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from configs.language import english
from configs.schema import Data, Pipeline
from configs.training import Loss
from configs.values import label_key
from tasks.applications.base import (
    Application,
    Baseline,
    Batch,
    Learning,
    Objective,
    Predictions,
    Problems,
    Rules,
    Scoring,
    Serving,
    View,
)
from tasks.applications.facts import Census
from tasks.applications.rows import Column, Rows
from tasks.applications.scoring import Metric, Scorer
from tasks.applications.shared.classification import labels as label_names
from tasks.applications.shared.classification.base import Labelling
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.shared.classification.multi_label import MultiLabel
from tasks.applications.shared.classification.ordinal import Ordinal
from tasks.applications.shared.classification.single_label import SingleLabel
from tasks.applications.shared.classification.tokens import PAIR, ClassificationTokens

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import DataFrameSchema

LABELLINGS: Final[dict[str, Labelling]] = {
    "single": SingleLabel(),
    "multiple": MultiLabel(),
    "ordinal": Ordinal(),
}


class ClassificationRows(Rows[ClassificationFacts]):
    """Texts, and labels as ``data.labelling`` says."""

    one_target_per_input = True

    def columns(self, data: Data) -> tuple[Column, ...]:
        kind = LABELLINGS[data.labelling]
        target = Column(kind.target, "target", stored=kind.stored)
        return (Column("text", "text"), Column(PAIR, "text", optional=True), target)

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Replace raw labels by their names; an undeclared label stays as it is."""
        import pandas as pd

        kind = LABELLINGS[data.labelling]
        named = kind.normalize(frame[kind.target], data, names)
        # An object column, since others have NaN for None.
        frame[kind.target] = pd.Series(named, index=frame.index, dtype=object)

    def readings(self, frame: pd.DataFrame, data: Data) -> Iterable[Any]:
        return frame[LABELLINGS[data.labelling].target]

    def ambiguities(
        self, values: Iterable[Any], data: Data, names: Sequence[str] | None
    ) -> Problems:
        return LABELLINGS[data.labelling].ambiguities(values, data, names)

    def target_keys(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        return frame["labels"].map(tuple) if "labels" in frame else frame["label"]

    def store(self, frame: pd.DataFrame, facts: ClassificationFacts) -> dict[str, Any]:
        kind = LABELLINGS[facts.labelling]
        texts = {name: frame[name] for name in facts.inputs}
        return texts | {kind.target: kind.store(frame[kind.target], facts.labels)}

    def spelled_out(self, stored: pd.DataFrame, facts: ClassificationFacts) -> pd.DataFrame:
        kind = LABELLINGS[facts.labelling]
        values = (kind.names(value, facts.labels) for value in stored[kind.target])
        return stored.assign(**{kind.target: list(values)})


class ClassificationRules(Rules[ClassificationFacts]):
    """Checks of labels and of the settings about them."""

    def check(self, config: Pipeline) -> Problems:
        """Losses that the labelling does not have, and a separator without a use."""
        usual = type(config.data).model_fields["label_separator"].default
        if config.data.labelling != "multiple" and config.data.label_separator != usual:
            yield (
                "data.label_separator",
                english("expected none, since only `labelling: multiple` has a use for it"),
            )
        yield from LABELLINGS[config.data.labelling].check(config)

    def check_facts(self, config: Pipeline, facts: ClassificationFacts) -> Problems:
        """Class weights of labels that the data does not have."""
        weights = config.training.loss.class_weights
        named = weights if isinstance(weights, dict) else {}
        known = set(map(label_key, facts.labels))
        unknown = sorted(name for name in named if label_key(name) not in known)
        if unknown:
            listed = ", ".join(map(label_names.shown, facts.labels[:20]))
            reason = english(
                "expected labels of the data ({listed}), found {unknown}",
                listed=listed,
                unknown=", ".join(unknown),
            )
            yield "training.loss.class_weights", reason

    def schema(self, config: Pipeline) -> DataFrameSchema:
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import text_column

        kind = LABELLINGS[config.data.labelling]
        target = kind.column(label_names.declared(config.data))
        pair = text_column(required=False)
        return DataFrameSchema({"text": text_column(), PAIR: pair, kind.target: target})

    def dataset_problems(
        self, census: Census, facts: ClassificationFacts, minimum: int
    ) -> list[str]:
        return list(label_names.problems(census, facts.labels, minimum))


class ClassificationLearning(Learning[ClassificationFacts]):
    """Labels from the training rows, and a head with an output for each."""

    def learn(self, census: Census, data: Data) -> ClassificationFacts:
        counts = census.labels("train")
        labels, scale = LABELLINGS[data.labelling].vocabulary(counts, data)
        return ClassificationFacts(
            inputs=tuple(name for name in ("text", PAIR) if name in census.inputs),
            labelling=data.labelling,
            labels=tuple(labels),
            counts={label: counts[label] for label in labels},
            rows=census.rows("train"),
            scale=scale or None,
        )

    def model_arguments(self, facts: ClassificationFacts) -> dict[str, Any]:
        labels, kind = facts.labels, LABELLINGS[facts.labelling]
        outputs = kind.outputs(labels)
        names = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
        }
        arguments = {"num_labels": outputs, "problem_type": kind.problem_type}
        return arguments | (names if outputs == len(labels) else {})

    def initialize(self, model: torch.nn.Module, facts: ClassificationFacts) -> None:
        """Set the bias of a head with one output, where the labelling has a value for it."""
        import torch

        bias = LABELLINGS[facts.labelling].initial_bias(facts)
        if bias is None:
            return
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and parameter.shape == (1,):
                with torch.no_grad():
                    parameter.fill_(bias)

    def objective(self, facts: ClassificationFacts, loss: Loss) -> Objective:
        return LABELLINGS[facts.labelling].objective(facts, loss)

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        kind = LABELLINGS[view.facts.labelling]
        targets = {kind.target: batch["labels"].cpu().numpy()}
        return targets, kind.predictions(outputs.float(), view.facts)


class ClassificationScoring(Scoring[ClassificationFacts]):
    """The metrics of the labelling; ``primary_metric`` is that of rows with one label each."""

    def __init__(self, primary_metric: str) -> None:
        self._primary_metric = primary_metric

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        return LABELLINGS[data.labelling].metrics

    def extensible(self, data: Data) -> bool:
        return data.labelling == "single"

    def primary_metric(self, data: Data) -> str:
        """The application's choice for one label per row, else the labelling's."""
        return LABELLINGS[data.labelling].primary_metric or self._primary_metric

    def scorer(self, facts: ClassificationFacts) -> Scorer:
        return LABELLINGS[facts.labelling].scorer(facts)

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
            raise ValueError(label_names.difference(theirs.labels, ours.labels))
        if ours.scale and theirs.labels != ours.labels:
            raise ValueError(english("another order of its labels"))
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
        return LABELLINGS[data.labelling].baseline_name

    def predict(self, frame: pd.DataFrame, facts: ClassificationFacts) -> Predictions:
        return LABELLINGS[facts.labelling].baseline(len(frame), facts)


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
