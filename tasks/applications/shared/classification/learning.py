"""Facts and model of a classifier, for any model with a sequence-classification head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Learning, Objective, Predictions, View
from tasks.applications.shared.classification import labelling
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.shared.classification.rows import PAIR

if TYPE_CHECKING:
    import torch

    from configs.schema import Data, Loss
    from tasks.applications.census import Census


class ClassificationLearning(Learning[ClassificationFacts]):
    """Labels from the training rows, and a head with an output for each."""

    def learn(self, census: Census, data: Data) -> ClassificationFacts:
        counts = census.labels("train")
        labels, scale = labelling.get(data.labelling).vocabulary(counts, data)
        return ClassificationFacts(
            inputs=tuple(name for name in ("text", PAIR) if name in census.inputs),
            labelling=data.labelling,
            labels=tuple(labels),
            counts={label: counts[label] for label in labels},
            rows=census.rows("train"),
            scale=scale or None,
        )

    def model_arguments(self, facts: ClassificationFacts) -> dict[str, Any]:
        labels, kind = facts.labels, labelling.get(facts.labelling)
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

        bias = labelling.get(facts.labelling).initial_bias(facts)
        if bias is None:
            return
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and parameter.shape == (1,):
                with torch.no_grad():
                    parameter.fill_(bias)

    def objective(self, facts: ClassificationFacts, loss: Loss) -> Objective:
        return labelling.get(facts.labelling).objective(facts, loss)

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of shape (rows, outputs)."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        logits: torch.Tensor = model(
            **{name: batch[name] for name in names if name in batch}
        ).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        kind = labelling.get(view.facts.labelling)
        targets = {kind.target: batch["labels"].cpu().numpy()}
        return targets, kind.predictions(outputs.float(), view.facts)
