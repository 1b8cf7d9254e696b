from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    T5Config,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
)

from configs.schema import LrScheduler, Optimizer, Training
from tasks.training import optimization
from tasks.training.model import layers
from tasks.training.step import optimizer_step
from tests.support import learners
from tests.support.pipelines import CONSTANT, Start

pytest_plugins = ["tests.support.fixtures"]

SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
FAMILIES = {
    "bert": BertConfig(**SMALL),
    "deberta": DebertaConfig(**SMALL),
    "modernbert": ModernBertConfig(**SMALL, pad_token_id=0),
    "t5": T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2),
}
SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "constant": lambda optimizer, warmup, total: get_constant_schedule_with_warmup(
        optimizer, warmup
    ),
    "inverse_sqrt": lambda optimizer, warmup, total: get_inverse_sqrt_schedule(
        optimizer, warmup, timescale=max(1, warmup)
    ),
}
OPTIMIZERS = get_args(Optimizer.model_fields["name"].annotation)
STACKS = {
    "bert": {"bert.encoder": 3},
    "pair": {"encoder.encoder": 3, "decoder.bert.encoder": 2},
    "t5": {"encoder": 3, "decoder": 2},
}


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """The learning rate of each update."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-4)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(
    ("warmup", "share", "total"),
    [(0, 0.0, 50), (5, 0.1, 50), (4, 0.13, 30), (7, 1.0, 7), (1, 0.5, 1)],
)
def test_schedule_is_that_of_transformers(name: str, warmup: int, share: float, total: int) -> None:
    training = Training.model_validate({"lr_scheduler": {"name": name, "warmup_ratio": share}})
    found = rates(optimization.build_schedule(sgd(), training, total), total)
    expected = rates(SCHEDULES[name](sgd(), warmup, total), total)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_rate_ends_at_zero(name: str) -> None:
    training = Training.model_validate({"lr_scheduler": {"name": name}})
    assert rates(optimization.build_schedule(sgd(), training, 20), 21)[-1] == pytest.approx(0)


@pytest.mark.parametrize("warmup", [0.0, 0.13, 0.5, 1.0])
@pytest.mark.parametrize("total", [3, 30, 101])
def test_one_cycle_is_that_of_torch(warmup: float, total: int) -> None:
    training = Training.model_validate(
        {"lr_scheduler": {"name": "one_cycle", "warmup_ratio": warmup}}
    )
    reference = OneCycleLR(
        sgd(), max_lr=3e-4, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    expected = [reference.get_last_lr()[0]]
    for _ in range(total - 1):
        reference.optimizer.step()
        reference.step()
        expected.append(reference.get_last_lr()[0])
    found = rates(optimization.build_schedule(sgd(), training, total), total)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("total", [1, 2, 5])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5, 1.0])
def test_one_cycle_of_a_short_run_is_defined(warmup: float, total: int) -> None:
    schedule = LrScheduler(name="one_cycle", warmup_ratio=warmup)
    found = [optimization.factor(schedule, step, total) for step in range(total + 1)]
    assert all(0 < share <= 1 for share in found)
    assert max(found) > 0.2 or total == 1


def test_inverse_square_root_without_warm_up_starts_at_the_peak() -> None:
    schedule = LrScheduler(name="inverse_sqrt", warmup_ratio=0.0)
    found = [optimization.factor(schedule, step, 100) for step in range(4)]
    assert found == pytest.approx([1, 1 / math.sqrt(2), 1 / math.sqrt(3), 1 / 2])


def groups_of(model: nn.Module, **training: object) -> list[dict[str, Any]]:
    return optimization.parameter_groups(model, Training.model_validate(training))


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_normalization_weights_are_not_decayed(family: str) -> None:
    config: PreTrainedConfig = FAMILIES[family]
    model = AutoModelForSequenceClassification.from_config(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = groups_of(model, optimizer={"weight_decay": 0.3})
    decayed, exempt = sorted(groups, key=lambda group: -group["weight_decay"])
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.3, 0.0)
    expected = {n for n in names.values() if n.endswith(".bias") or "norm" in n.lower()}
    assert expected
    assert {names[id(parameter)] for parameter in exempt["params"]} == expected
    assert len(decayed["params"]) + len(exempt["params"]) == len(names)


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model[0].weight.requires_grad_(False)
    (exempt,) = groups_of(model, optimizer={"weight_decay": 0.1})
    assert exempt["weight_decay"] == 0
    assert len(exempt["params"]) == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("family", ["bert", "t5", "pair"])
def test_lower_layers_learn_more_slowly(family: str, name: str) -> None:
    model = learners.build(family)
    section = {"name": name, "layerwise_lr_decay": 0.8}
    training = Training.model_validate({"learning_rate": 0.1, "optimizer": section})
    optimizer = optimization.build_optimizer(model, training)
    schedule = optimization.build_schedule(optimizer, training, 10)
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


def test_without_layer_decay_there_is_one_rate() -> None:
    assert {g["lr"] for g in groups_of(learners.build("bert"), learning_rate=0.1)} == {0.1}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_built_as_declared(name: str) -> None:
    declared = {"name": name, "weight_decay": 0.05, "betas": (0.8, 0.95), "epsilon": 1e-6}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimization.build_optimizer(nn.Linear(3, 2), training)
    assert type(optimizer) is {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (2e-3, (0.8, 0.95), 1e-6)
        assert group["fused"]


def test_sgd_is_built_as_declared() -> None:
    declared = {"name": "sgd", "weight_decay": 0.05, "betas": (0.7, 0.999)}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 0.1})
    optimizer = optimization.build_optimizer(nn.Linear(3, 2), training)
    assert type(optimizer) is torch.optim.SGD
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["momentum"]) == (0.1, 0.7)


def test_lion_is_built_as_declared() -> None:
    declared = {"name": "lion", "weight_decay": 0.05, "betas": (0.8, 0.95)}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimization.build_optimizer(nn.Linear(3, 2), training)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"]) == (2e-3, (0.8, 0.95))
        assert group["weight_decouple"]


def test_adafactor_follows_the_declared_rate() -> None:
    declared = {"name": "adafactor", "weight_decay": 0.05}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimization.build_optimizer(nn.Linear(3, 2), training)
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
    for group in optimization.build_optimizer(model, training).param_groups:
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
    found = updated(ours, optimization.build_optimizer(ours, training))
    for one, other in zip(found, updated(plain, reference), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_lion_updates_by_the_sign_of_its_momentum() -> None:
    """Chen et al. 2023, algorithm 2, in float64."""
    section = {"name": "lion", "betas": (0.9, 0.99), "weight_decay": 0.1}
    training = Training.model_validate({"learning_rate": 1e-2, "optimizer": section})
    layer = nn.Linear(4, 1, bias=False).double()
    weight, momentum = layer.weight.detach().clone(), torch.zeros(1, 4).double()
    optimizer = optimization.build_optimizer(layer, training)
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


def test_average_is_the_closed_form() -> None:
    """After n steps: d^(n-1) w_1 + (1 - d) sum of d^(n-k) w_k for k from 2."""
    decay, count = 0.7, 6
    learner = learners.learner(learners.build("bert"), ema_decay=decay, lr_scheduler=CONSTANT)
    assert learner.average is not None
    weights = []
    for batch in learners.batches(count):
        optimizer_step(learner, [batch])
        weights.append(nn.utils.parameters_to_vector(learner.model.parameters()).double())
    shares = [decay ** (count - 1)] + [(1 - decay) * decay ** (count - k) for k in range(2, 7)]
    expected = sum(share * weight for share, weight in zip(shares, weights, strict=True))
    found = nn.utils.parameters_to_vector(learner.average.module.parameters())
    assert sum(shares) == pytest.approx(1)
    assert torch.allclose(found.double(), expected, atol=1e-6)
    assert not torch.allclose(found.double(), weights[-1], atol=1e-4)


def test_buffers_of_the_average_are_the_current_ones() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = optimization.build_average(model, 0.9)
    assert average is not None
    for _ in range(3):
        model(torch.randn(4, 2))
        average.update_parameters(model)
    for one, other in zip(model.buffers(), average.module.buffers(), strict=True):
        assert torch.equal(one, other)


def test_average_keeps_tied_weights_tied() -> None:
    average = optimization.build_average(learners.build("gpt2-lm"), 0.9)
    assert average is not None
    assert average.module.lm_head.weight is average.module.transformer.wte.weight


def test_average_is_optional() -> None:
    learner = learners.learner(learners.build("bert"))
    assert learner.average is None
    assert learner.result is learner.model


def test_first_update_of_a_warm_up_changes_nothing(start: Start) -> None:
    session = start(lr_scheduler={"name": "linear", "warmup_ratio": 0.5})
    assert set(session.learner.schedule.get_last_lr()) == {0.0}
