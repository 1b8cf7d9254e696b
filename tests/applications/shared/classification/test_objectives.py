from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from configs.training import Loss
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.topics.application import APPLICATION

ROWS, LABELS = 12, ["a", "b", "c"]
COUNTS = {"a": 20, "b": 5, "c": 15}
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(ROWS, 3, generator=GENERATOR)
CLASSES = torch.arange(ROWS) % 3
SETS = (torch.rand(ROWS, 3, generator=GENERATOR) < 0.4).long()


def facts(labelling: Any) -> ClassificationFacts:
    """What 40 training rows taught."""
    return ClassificationFacts(
        inputs=("text",), labelling=labelling, labels=tuple(LABELS), counts=COUNTS, rows=40
    )


def mean(labelling: str, loss: dict[str, Any], logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The loss of a step of two batches."""
    objective = APPLICATION.learning.objective(facts(labelling), Loss(**loss))
    batches = [(logits[:5], {"labels": labels[:5]}), (logits[5:], {"labels": labels[5:]})]
    total = sum(objective.total(outputs, batch) for outputs, batch in batches)
    return float(total / sum(objective.weight(batch) for _, batch in batches))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "balanced", {"a": 2.0, "c": 0.5}])
def test_single_labels_have_the_cross_entropy_of_torch(smoothing: float, weights: Any) -> None:
    found = mean(
        "single", {"label_smoothing": smoothing, "class_weights": weights}, LOGITS, CLASSES
    )
    training = np.repeat(range(3), list(COUNTS.values()))
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=training).tolist()
    listed = {"none": None, "balanced": balanced}.get(str(weights), [2.0, 1.0, 0.5])
    tensor = None if listed is None else torch.tensor(listed, dtype=torch.float32)
    expected = functional.cross_entropy(LOGITS, CLASSES, weight=tensor, label_smoothing=smoothing)
    assert found == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_single_labels_have_the_focal_loss_of_its_definition(gamma: float) -> None:
    found = mean("single", {"name": "focal", "focal_gamma": gamma}, LOGITS, CLASSES)
    p = LOGITS.softmax(-1)[torch.arange(ROWS), CLASSES]
    assert found == pytest.approx(float((-((1 - p) ** gamma) * p.log()).mean()), rel=1e-5)


@pytest.mark.parametrize("weights", ["none", "balanced", {"a": 2.0, "c": 0.5}])
def test_sets_have_the_binary_cross_entropy_of_torch(weights: Any) -> None:
    found = mean("multiple", {"class_weights": weights}, LOGITS, SETS)
    listed = {"none": [1.0, 1.0, 1.0], "balanced": [20 / 20, 35 / 5, 25 / 15]}
    tensor = torch.tensor(listed.get(str(weights), [2.0, 1.0, 0.5]))
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=tensor)(LOGITS, SETS.float())
    assert found == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", ["none", {"a": 2.0, "c": 0.5}])
def test_sets_have_the_focal_loss_of_its_definition(gamma: float, weights: Any) -> None:
    loss = {"name": "focal", "focal_gamma": gamma, "class_weights": weights}
    p = torch.where(SETS == 1, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    alpha = torch.ones(3) if weights == "none" else torch.tensor([2.0, 1.0, 0.5])
    terms = -((1 - p) ** gamma) * p.log() * torch.where(SETS == 1, alpha, 1.0)
    assert mean("multiple", loss, LOGITS, SETS) == pytest.approx(float(terms.mean()), rel=1e-4)


def test_focal_loss_of_a_certain_model_has_a_finite_slope() -> None:
    objective = APPLICATION.learning.objective(
        facts("multiple"), Loss(name="focal", focal_gamma=0.5)
    )
    logits = torch.full((1, 3), 200.0, requires_grad=True)
    objective.total(logits, {"labels": torch.ones(1, 3)}).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_steps_have_the_mean_squared_error_of_torch() -> None:
    outputs = LOGITS[:, :1]
    expected = functional.mse_loss(outputs.squeeze(-1), CLASSES.float())
    assert mean("ordinal", {}, outputs, CLASSES) == pytest.approx(expected.item(), rel=1e-6)


def spread(labelling: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a model that knows nothing, and labels with the counts of the training rows."""
    classes = torch.tensor([0] * 20 + [1] * 5 + [2] * 15)
    if labelling == "multiple":
        columns = [torch.arange(40) < COUNTS[label] for label in LABELS]
        return torch.zeros(40, 3), torch.stack(columns, 1).long()
    if labelling == "ordinal":
        return torch.full((40, 1), classes.float().mean().item()), classes
    return torch.zeros(40, 3), classes


@pytest.mark.parametrize(
    ("labelling", "loss"),
    [
        ("single", {}),
        ("single", {"label_smoothing": 0.1}),
        ("single", {"class_weights": "balanced"}),
        ("single", {"name": "focal"}),
        ("multiple", {}),
        ("multiple", {"class_weights": "balanced"}),
        ("multiple", {"class_weights": {"a": 3.0}, "name": "focal", "focal_gamma": 1.5}),
        ("ordinal", {}),
    ],
)
def test_expected_initial_loss_is_that_of_a_model_that_knows_nothing(
    labelling: str, loss: dict[str, Any]
) -> None:
    outputs, labels = spread(labelling)
    objective = APPLICATION.learning.objective(facts(labelling), Loss(**loss))
    assert objective.expected_initial(outputs) == pytest.approx(
        mean(labelling, loss, outputs, labels)
    )


def test_expected_initial_losses_in_nats() -> None:
    of = {
        kind: APPLICATION.learning.objective(facts(kind), Loss()) for kind in ("single", "multiple")
    }
    assert of["single"].expected_initial(LOGITS) == pytest.approx(math.log(3))
    assert of["multiple"].expected_initial(LOGITS) == pytest.approx(math.log(2))
