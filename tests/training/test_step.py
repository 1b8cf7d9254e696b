from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn.functional import cross_entropy

from configs.training import Loss
from tasks.applications import registry as applications
from tasks.applications.base import Batch
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.training.session import Session
from tasks.training.step import StepReport, optimizer_step
from tests.support.pipelines import CONSTANT, SGD, Start

pytest_plugins = ["tests.support.fixtures"]

PLAIN_SGD = {
    "optimizer": SGD,
    "lr_scheduler": CONSTANT,
    "learning_rate": 0.5,
    "max_grad_norm": None,
}
FACTS = ClassificationFacts(
    inputs=("text",),
    labelling="single",
    labels=("a", "b", "c"),
    counts={"a": 10, "b": 3, "c": 1},
    rows=14,
)


def step(session: Session, *sizes: int) -> StepReport:
    """Take one optimizer step over the first rows, in batches of these sizes."""
    edges = np.cumsum([0, *sizes])
    pairs = pairwise(edges)
    return optimizer_step(
        session.learner, [session.batch("train", np.arange(a, b)) for a, b in pairs]
    )


def weights(session: Session) -> torch.Tensor:
    return nn.utils.parameters_to_vector(session.learner.model.parameters()).detach().clone()


def random_batch(rows: int, classes: int, seed: int) -> tuple[torch.Tensor, Batch]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator)
    return logits, {"labels": torch.randint(classes, (rows,), generator=generator)}


def test_loss_is_that_of_plain_transformers(start: Start) -> None:
    session = start()
    plain = copy.deepcopy(session.learner.model)
    batch = session.batch("train", np.arange(8))
    expected = plain(**batch).loss.item()
    report = optimizer_step(session.learner, [batch])
    assert report.loss == pytest.approx(expected, abs=1e-6)
    assert report.samples == 8
    assert report.tokens == int(batch["attention_mask"].sum())


def test_update_is_that_of_plain_torch(start: Start) -> None:
    session = start(**PLAIN_SGD)
    plain = copy.deepcopy(session.learner.model)
    batch = session.batch("train", np.arange(8))
    plain(**batch).loss.backward()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.sub_(0.5 * parameter.grad)
    optimizer_step(session.learner, [batch])
    expected = nn.utils.parameters_to_vector(plain.parameters())
    assert torch.allclose(weights(session), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", [{}, {"class_weights": {"positive": 3.0}, "label_smoothing": 0.1}])
def test_accumulating_unequal_batches_is_one_big_batch(
    start: Start, loss: dict[str, object]
) -> None:
    whole, parts = start(**PLAIN_SGD, loss=loss), start(**PLAIN_SGD, loss=loss)
    before = weights(whole)
    one, many = step(whole, 12), step(parts, 7, 1, 4)
    assert not torch.allclose(weights(whole), before, atol=1e-3)
    assert torch.allclose(weights(parts), weights(whole), atol=1e-6, rtol=0)
    assert many.loss == pytest.approx(one.loss, abs=1e-6)
    assert many.grad_norm == pytest.approx(one.grad_norm, abs=1e-6)
    assert (many.samples, many.tokens) == (one.samples, one.tokens)


def test_clipping_bounds_the_update_and_reports_the_norm_before(start: Start) -> None:
    free = start(**PLAIN_SGD)
    bound = start(**PLAIN_SGD | {"max_grad_norm": 0.01})
    before = weights(bound)
    unbounded, report = step(free, 8), step(bound, 8)
    assert unbounded.grad_norm > 0.1
    assert report.grad_norm == pytest.approx(unbounded.grad_norm, rel=1e-6)
    assert (weights(bound) - before).norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert (weights(free) - before).norm().item() == pytest.approx(
        0.5 * unbounded.grad_norm, rel=1e-3
    )


def test_small_gradient_is_not_scaled(start: Start) -> None:
    free, bound = start(**PLAIN_SGD), start(**PLAIN_SGD | {"max_grad_norm": 100.0})
    step(free, 8)
    step(bound, 8)
    assert torch.equal(weights(free), weights(bound))


def test_report_names_the_rate_of_this_update(start: Start) -> None:
    session = start(epochs=2, lr_scheduler={"name": "linear", "warmup_ratio": 0.5})
    rates = [step(session, 4).learning_rate for _ in range(3)]
    assert rates == pytest.approx([0.0, 5e-3 / 18, 5e-3 * 2 / 18])


def test_report_names_the_rate_of_the_head(start: Start) -> None:
    session = start(lr_scheduler=CONSTANT, optimizer={"layerwise_lr_decay": 0.5})
    assert step(session, 4).learning_rate == 5e-3
    assert {group["lr"] for group in session.learner.optimizer.param_groups} == {
        5e-3 * 0.5**depth for depth in range(4)
    }


def test_step_moves_the_average(start: Start) -> None:
    session = start(**PLAIN_SGD, ema_decay=0.75)
    assert session.learner.average is not None
    expected = None
    for _ in range(3):
        step(session, 4)
        now = weights(session)
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    found = nn.utils.parameters_to_vector(session.learner.average.module.parameters())
    assert expected is not None
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_loss_that_is_not_finite_leaves_everything_as_it_was(start: Start, optimizer: str) -> None:
    session = start(optimizer={"name": optimizer}, lr_scheduler=CONSTANT)
    learner = session.learner
    step(session, 4)
    before = weights(session)
    moments = copy.deepcopy(learner.optimizer.state_dict()["state"])
    classifier = learner.model.get_parameter("classifier.bias")
    finite = classifier[0].item()
    with torch.no_grad():
        classifier[0] = torch.inf
    with pytest.raises(FloatingPointError, match="loss nan"):
        step(session, 4, 4)
    with torch.no_grad():
        classifier[0] = finite
    assert torch.equal(weights(session), before)
    assert learner.schedule.last_epoch == 1
    assert all(parameter.grad is None for parameter in learner.model.parameters())
    for index, entry in learner.optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[index][name]) for name, value in entry.items())


def test_gradient_that_is_not_finite_leaves_the_weights_as_they_were(start: Start) -> None:
    session = start(**PLAIN_SGD)
    before = weights(session)
    session.learner.model.get_parameter("classifier.weight").register_hook(
        lambda gradient: gradient * torch.inf
    )
    with pytest.raises(FloatingPointError, match="gradient norm"):
        step(session, 4)
    assert torch.equal(weights(session), before)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("class_weights", ["none", "balanced", {"a": 0.25, "c": 4.0}])
def test_objective_is_the_mean_of_torch(
    smoothing: float, class_weights: str | dict[str, float]
) -> None:
    loss = Loss.model_validate({"label_smoothing": smoothing, "class_weights": class_weights})
    objective = applications.get("topics").learning.objective(FACTS, loss)
    parts = [random_batch(rows, 3, rows) for rows in (5, 1, 9)]
    logits = torch.cat([outputs for outputs, _ in parts])
    labels = torch.cat([batch["labels"] for _, batch in parts])
    by_label = {
        "none": None,
        "balanced": torch.tensor([14 / 30, 14 / 9, 14 / 3]),
    }.get(str(class_weights), torch.tensor([0.25, 1.0, 4.0]))
    total = torch.stack([objective.total(*part) for part in parts]).sum()
    weight = torch.stack([objective.weight(batch) for _, batch in parts]).sum()
    expected = cross_entropy(logits, labels, weight=by_label, label_smoothing=smoothing)
    assert (total / weight).item() == pytest.approx(expected.item(), rel=1e-6)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    objective = applications.get("topics").learning.objective(FACTS, Loss(class_weights="balanced"))
    rows = np.repeat(["a", "b", "c"], [10, 3, 1])
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=rows)
    found = [objective.weight({"labels": torch.tensor([index])}).item() for index in range(3)]
    assert found == pytest.approx(expected.tolist())


def test_model_that_knows_nothing_has_the_expected_loss() -> None:
    objective = applications.get("topics").learning.objective(FACTS, Loss(label_smoothing=0.2))
    _, batch = random_batch(6, 3, 0)
    share = objective.total(torch.zeros(6, 3), batch) / objective.weight(batch)
    assert share.item() == pytest.approx(objective.expected_initial(torch.zeros(6, 3)))


def test_dropout_is_on_during_a_step(start: Start) -> None:
    session = start(dropout=0.5)
    session.learner.model.eval()
    learner = replace(session.learner, max_grad_norm=None)
    batch = session.batch("train", np.arange(8))
    silent = copy.deepcopy(learner.model)(**batch).loss.item()
    assert optimizer_step(learner, [batch]).loss != pytest.approx(silent, abs=1e-4)
