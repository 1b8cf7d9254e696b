from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from configs.schema import Training
from configs.training import Optimizer
from tasks.training import forecast
from tasks.training.model import layers
from tasks.training.optimization import lr_scheduler, optimizers
from tasks.training.step import optimizer_step
from tests.support import learners, packages
from tests.support.pipelines import CONSTANT, Start

pytest_plugins = ["tests.support.fixtures"]

OPTIMIZERS = list(optimizers.OPTIMIZERS.built_in)
STACKS = {
    "bert": {"bert.encoder": 3},
    "pair": {"encoder.encoder": 3, "decoder.bert.encoder": 2},
    "t5": {"encoder": 3, "decoder": 2},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("family", ["bert", "t5", "pair"])
def test_lower_layers_learn_more_slowly(family: str, name: str) -> None:
    model = learners.build(family)
    section = {"name": name, "layerwise_lr_decay": 0.8}
    training = Training.model_validate({"learning_rate": 0.1, "optimizer": section})
    optimizer = optimizers.build(model, training)
    schedule = lr_scheduler.build(optimizer, training.lr_scheduler, 10)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group, peak in zip(optimizer.param_groups, schedule.base_lrs, strict=True):
        for parameter in group["params"]:
            level = layers.depth(names.pop(id(parameter)), STACKS[family])
            assert peak == pytest.approx(0.1 * 0.8**level, rel=1e-12)
    assert not names
    optimizer.step()
    schedule.step()
    found = [group["lr"] for group in optimizer.param_groups]
    assert found == pytest.approx([rate * schedule.lr_lambdas[0](1) for rate in schedule.base_lrs])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_built_as_declared(name: str) -> None:
    declared = {"name": name, "weight_decay": 0.05, "betas": (0.8, 0.95), "epsilon": 1e-6}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimizers.build(nn.Linear(3, 2), training)
    assert type(optimizer) is {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (2e-3, (0.8, 0.95), 1e-6)
        assert group["fused"]


def test_sgd_is_built_as_declared() -> None:
    declared = {"name": "sgd", "weight_decay": 0.05, "betas": (0.7, 0.999)}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 0.1})
    optimizer = optimizers.build(nn.Linear(3, 2), training)
    assert type(optimizer) is torch.optim.SGD
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["momentum"]) == (0.1, 0.7)


def test_lion_is_built_as_declared() -> None:
    declared = {"name": "lion", "weight_decay": 0.05, "betas": (0.8, 0.95)}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimizers.build(nn.Linear(3, 2), training)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"]) == (2e-3, (0.8, 0.95))
        assert group["weight_decouple"]


def test_adafactor_follows_the_declared_rate() -> None:
    declared = {"name": "adafactor", "weight_decay": 0.05}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimizers.build(nn.Linear(3, 2), training)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert group["lr"] == 2e-3
        assert not group["scale_parameter"]
        assert not group["relative_step"]


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_muon_takes_hidden_matrices_alone(family: str) -> None:
    model = learners.build(family)
    declared = {"name": "muon", "betas": (0.8, 0.95), "epsilon": 1e-6, "weight_decay": 0.05}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden = set()
    for group in optimizers.build(model, training).param_groups:
        assert group["lr"] == 2e-3
        if group["use_muon"]:
            assert (group["momentum"], group["weight_decay"]) == (0.8, 0.05)
            assert group["use_adjusted_lr"]
            hidden |= {names[id(parameter)] for parameter in group["params"]}
        else:
            assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-6)
    assert hidden == {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and layers.layer_of(name) and "attention_bias" not in name
    }


def updated(ours: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Weights after five steps on made-up gradients."""
    for step in range(5):
        inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        ours(inputs).pow(2).sum().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in ours.parameters()]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_update_is_that_of_the_plain_one(name: str) -> None:
    section = {"name": name, "weight_decay": 0.1}
    training = Training.model_validate({"learning_rate": 1e-2, "optimizer": section})
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    plain = copy.deepcopy(ours)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    decayed = {"params": [plain[0].weight], "weight_decay": 0.1}
    exempt = {"params": [plain[0].bias, *plain[1].parameters()], "weight_decay": 0.0}
    reference = kind([decayed, exempt], lr=1e-2, foreach=False, fused=False)
    found = updated(ours, optimizers.build(ours, training))
    for one, other in zip(found, updated(plain, reference), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_lion_updates_by_the_sign_of_its_momentum() -> None:
    """Chen et al. 2023, algorithm 2, in float64."""
    section = {"name": "lion", "betas": (0.9, 0.99), "weight_decay": 0.1}
    training = Training.model_validate({"learning_rate": 1e-2, "optimizer": section})
    layer = nn.Linear(4, 1, bias=False).double()
    weight, momentum = layer.weight.detach().clone(), torch.zeros(1, 4).double()
    optimizer = optimizers.build(layer, training)
    for step in range(5):
        inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(step)).double()
        gradient = 2 * (inputs @ weight.T).T @ inputs
        weight -= 1e-2 * ((0.9 * momentum + 0.1 * gradient).sign() + 0.1 * weight)
        momentum = 0.99 * momentum + 0.01 * gradient
        optimizer.zero_grad()
        layer(inputs).pow(2).sum().backward()
        optimizer.step()
    assert torch.allclose(layer.weight, weight, atol=1e-12)


def test_muon_update_is_nearly_orthogonal_and_as_large_as_that_of_adamw() -> None:
    model = learners.build("bert")
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    section = {"name": "muon", "weight_decay": 0.0}
    learner = learners.learner(model, optimizer=section, lr_scheduler=CONSTANT, learning_rate=1e-2)
    before = model.get_parameter(name).detach().clone()
    optimizer_step(learner, learners.batches(1))
    update = (model.get_parameter(name).detach() - before) / 1e-2
    assert update.pow(2).mean().sqrt().item() == pytest.approx(0.2, rel=0.3)
    values = torch.linalg.svdvals(update) / (0.2 * math.sqrt(max(update.shape)))
    # Normalization leaves the gradient almost without one direction.
    assert values[:-1].min() > 0.5
    assert values.max() < 1.3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    rate = {"sgd": 0.05, "lion": 3e-3}.get(name, 1e-2)
    learner = learners.learner(
        learners.build("bert"), optimizer={"name": name}, lr_scheduler=CONSTANT, learning_rate=rate
    )
    torch.manual_seed(0)
    losses = [optimizer_step(learner, [batch]).loss for batch in learners.batches(5) * 6]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


FOREIGN = """
import torch
from tasks.training.optimization.optimizers import OptimizerFactory


def build(groups, betas):
    return torch.optim.RMSprop(groups, alpha=betas[1])


RMSPROP = OptimizerFactory(build=build, hyperparameters=("betas",), moments=1)
"""


def test_optimizer_of_an_installed_package_trains(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {optimizers.OPTIMIZERS.group: {"rmsprop": "RMSPROP"}}
    packages.install(tmp_path / "package", monkeypatch, "foreign_rmsprop", FOREIGN, points)
    section = {"name": "rmsprop", "betas": (0.9, 0.9)}
    session = start(optimizer=section, lr_scheduler=CONSTANT)
    assert session.learner.optimizer.param_groups[0]["alpha"] == 0.9
    assert forecast.measure(session).peak_memory > forecast.moment_bytes(session) > 0
    learner = learners.learner(
        learners.build("bert"), optimizer=section, lr_scheduler=CONSTANT, learning_rate=3e-3
    )
    losses = [optimizer_step(learner, [batch]).loss for batch in learners.batches(5) * 6]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameters_are_fields_of_the_section(name: str) -> None:
    assert set(optimizers.OPTIMIZERS.load(name).hyperparameters) <= set(Optimizer.model_fields)
