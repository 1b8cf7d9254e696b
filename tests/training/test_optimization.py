from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    T5Config,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from configs.schema import Training
from tasks.training import optimization
from tests.support.pipelines import Start

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
    training = Training.model_validate({"schedule": {"name": name, "warmup": share}})
    found = rates(optimization.build_schedule(sgd(), training, total), total)
    expected = rates(SCHEDULES[name](sgd(), warmup, total), total)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_rate_ends_at_zero(name: str) -> None:
    training = Training.model_validate({"schedule": {"name": name}})
    assert rates(optimization.build_schedule(sgd(), training, 20), 21)[-1] == pytest.approx(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_normalization_weights_are_not_decayed(family: str) -> None:
    config: PreTrainedConfig = FAMILIES[family]
    model = AutoModelForSequenceClassification.from_config(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, exempt = optimization.decay_groups(model, 0.3)
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.3, 0.0)
    expected = {n for n in names.values() if n.endswith(".bias") or "norm" in n.lower()}
    assert expected
    assert {names[id(parameter)] for parameter in exempt["params"]} == expected
    assert len(decayed["params"]) + len(exempt["params"]) == len(names)


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model[0].weight.requires_grad_(False)
    decayed, exempt = optimization.decay_groups(model, 0.1)
    assert decayed["params"] == []
    assert len(exempt["params"]) == 3


def test_adamw_is_built_as_declared() -> None:
    declared = {"name": "adamw", "weight_decay": 0.05, "betas": (0.8, 0.95), "epsilon": 1e-6}
    training = Training.model_validate({"optimizer": declared, "learning_rate": 2e-3})
    optimizer = optimization.build_optimizer(nn.Linear(3, 2), training)
    assert type(optimizer) is torch.optim.AdamW
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


def test_fused_adamw_updates_as_plain_adamw() -> None:
    training = Training.model_validate({"learning_rate": 1e-2})
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    plain = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    plain.load_state_dict(ours.state_dict())
    fused = optimization.build_optimizer(ours, training)
    reference = torch.optim.AdamW(
        optimization.decay_groups(plain, 0.01), lr=1e-2, foreach=False, fused=False
    )
    for step in range(5):
        inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
        for model, optimizer in ((ours, fused), (plain, reference)):
            optimizer.zero_grad()
            model(inputs).pow(2).sum().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_first_update_of_a_warm_up_changes_nothing(start: Start) -> None:
    session = start(schedule={"name": "linear", "warmup": 0.5})
    assert session.learner.schedule.get_last_lr() == [0.0, 0.0]
