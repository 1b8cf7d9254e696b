from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
)

from configs.schema import Training
from configs.training import LrScheduler
from tasks.training.optimization import lr_scheduler
from tests.support.pipelines import Start

pytest_plugins = ["tests.support.fixtures"]

PEAK = 3e-4

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


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """The learning rate of each update."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=PEAK)


def shares(schedule: LrScheduler, total: int, steps: int) -> list[float]:
    """The rate of each update as a share of the peak."""
    return [rate / PEAK for rate in rates(lr_scheduler.build(sgd(), schedule, total), steps)]


def formula(schedule: LrScheduler, step: int, total: int) -> float:
    """The share of the peak at a step, written out."""
    if schedule.name == "one_cycle":
        top = schedule.warmup_ratio * total - 1
        if step <= top:
            return half_cosine(1 / 25, 1.0, step / top if top else 1.0)
        return half_cosine(1.0, 1 / 25e4, (step - top) / (total - 1 - top))
    warmup = math.ceil(schedule.warmup_ratio * total)
    if step < warmup:
        return step / max(1, warmup)
    done = (step - warmup) / max(1, total - warmup)
    scale = max(1, warmup)
    return {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "inverse_sqrt": math.sqrt(scale / (step - warmup + scale)),
    }[schedule.name]


def half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


@pytest.mark.parametrize("name", get_args(LrScheduler.model_fields["name"].annotation))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.13, 0.5, 1.0])
@pytest.mark.parametrize("total", [2, 7, 10, 101])
def test_rates_are_those_of_the_formula(name: str, warmup: float, total: int) -> None:
    schedule = LrScheduler.model_validate({"name": name, "warmup_ratio": warmup})
    expected = [formula(schedule, step, total) for step in range(total)]
    assert shares(schedule, total, total) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(
    ("warmup", "share", "total"),
    [(0, 0.0, 50), (5, 0.1, 50), (4, 0.13, 30), (7, 1.0, 7), (1, 0.5, 1)],
)
def test_schedule_is_that_of_transformers(name: str, warmup: int, share: float, total: int) -> None:
    training = Training.model_validate({"lr_scheduler": {"name": name, "warmup_ratio": share}})
    found = rates(lr_scheduler.build(sgd(), training.lr_scheduler, total), total)
    expected = rates(SCHEDULES[name](sgd(), warmup, total), total)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_rate_ends_at_zero(name: str) -> None:
    training = Training.model_validate({"lr_scheduler": {"name": name}})
    assert rates(lr_scheduler.build(sgd(), training.lr_scheduler, 20), 21)[-1] == pytest.approx(0)


@pytest.mark.parametrize("warmup", [0.0, 0.13, 0.5, 1.0])
@pytest.mark.parametrize("total", [3, 30, 101])
def test_one_cycle_is_that_of_torch(warmup: float, total: int) -> None:
    schedule = LrScheduler(name="one_cycle", warmup_ratio=warmup)
    reference = OneCycleLR(
        sgd(), max_lr=PEAK, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    expected = [reference.get_last_lr()[0]]
    for _ in range(total - 1):
        reference.optimizer.step()
        reference.step()
        expected.append(reference.get_last_lr()[0])
    found = rates(lr_scheduler.build(sgd(), schedule, total), total)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("total", [1, 2, 5])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5, 1.0])
def test_one_cycle_of_a_short_run_is_defined(warmup: float, total: int) -> None:
    schedule = LrScheduler(name="one_cycle", warmup_ratio=warmup)
    found = shares(schedule, total, total + 1)
    assert all(0 < share <= 1 for share in found)
    assert max(found) > 0.2 or total == 1


def test_inverse_square_root_without_warm_up_starts_at_the_peak() -> None:
    schedule = LrScheduler(name="inverse_sqrt", warmup_ratio=0.0)
    found = shares(schedule, 100, 4)
    assert found == pytest.approx([1, 1 / math.sqrt(2), 1 / math.sqrt(3), 1 / 2])


def test_first_update_of_a_warm_up_changes_nothing(start: Start) -> None:
    session = start(lr_scheduler={"name": "linear", "warmup_ratio": 0.5})
    assert set(session.learner.schedule.get_last_lr()) == {0.0}
