from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from configs.files import PARTIAL
from configs.training import Adapter
from tasks.store import files_below, read_json
from tasks.training import checkpoints
from tasks.training.checkpoints import Position
from tasks.training.model import adapters, layers
from tasks.training.optimization.optimizers import OPTIMIZERS
from tasks.training.session import Session
from tasks.training.step import Learner, optimizer_step
from tests.support import learners
from tests.support.pipelines import Start

pytest_plugins = ["tests.support.fixtures"]


class Tied(nn.Module):
    """An embedding whose weight is also that of the output layer, as in many language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("nothing", torch.zeros(0))


def run_steps(session: Session, first: int, last: int) -> list[tuple[float, float, float]]:
    """Loss, gradient norm and rate of some steps of the plan, counted over all epochs."""
    plan = [step for epoch in range(2) for step in session.plan(epoch)]
    found = []
    for rows in plan[first:last]:
        report = optimizer_step(session.learner, [session.batch("train", r) for r in rows])
        found.append((report.loss, report.grad_norm, report.learning_rate))
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": {"name": "sgd"}, "lr_scheduler": {"name": "cosine", "warmup_ratio": 0.5}},
        {"optimizer": {"name": "sgd", "betas": (0.0, 0.9)}, "gradient_accumulation_steps": 2},
    ],
)
def test_restored_run_goes_on_bit_for_bit(
    start: Start, tmp_path: Path, settings: dict[str, object]
) -> None:
    first = start(dropout=0.3, **settings)
    run_steps(first, 0, 5)
    position = Position(step=5, epoch=0, best=0.75, best_epoch=2)
    saved = checkpoints.save(tmp_path, first.learner, position)
    expected = run_steps(first, 5, 12)
    torch.manual_seed(99)
    second = start(dropout=0.3, **settings)
    assert checkpoints.restore(saved, second.learner) == position
    assert run_steps(second, 5, 12) == expected
    assert len({loss for loss, _, _ in expected}) == 7


def continued(
    tmp_path: Path, build: Callable[[], Learner], stop: int = 2, count: int = 4
) -> tuple[Learner, Learner, list[float], list[float]]:
    """A learner that ran through, one that was stopped and restored, and their losses."""
    data = learners.batches(count)
    torch.manual_seed(5)
    whole = build()
    losses = [optimizer_step(whole, [batch]).loss for batch in data]
    torch.manual_seed(5)
    first = build()
    found = [optimizer_step(first, [batch]).loss for batch in data[:stop]]
    saved = checkpoints.save(tmp_path, first, Position(step=stop))
    torch.manual_seed(77)
    second = build()
    checkpoints.restore(saved, second)
    found += [optimizer_step(second, [batch]).loss for batch in data[stop:]]
    return whole, second, losses, found


def same(one: Any, other: Any) -> bool:
    """Whether two states hold the same values of the same types, bit by bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(same(*pair) for pair in pairs)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("settings", [{}, {"layerwise_lr_decay": 0.8}])
@pytest.mark.parametrize("name", OPTIMIZERS.built_in)
def test_every_optimizer_goes_on_bit_for_bit(
    tmp_path: Path, name: str, settings: dict[str, float]
) -> None:
    section = {"name": name, **settings}
    whole, second, losses, found = continued(
        tmp_path, lambda: learners.learner(learners.build("bert"), optimizer=section, total=6)
    )
    assert found == losses
    assert same(second.model.state_dict(), whole.model.state_dict())
    assert same(second.optimizer.state_dict(), whole.optimizer.state_dict())
    assert second.schedule.get_last_lr() == whole.schedule.get_last_lr()


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_average_goes_on_bit_for_bit(tmp_path: Path, family: str) -> None:
    def build() -> Learner:
        return learners.learner(learners.build(family), ema_decay=0.9, total=6)

    whole, second, losses, found = continued(tmp_path, build)
    assert found == losses
    assert whole.average is not None
    assert second.average is not None
    assert same(second.average.state_dict(), whole.average.state_dict())
    assert int(second.average.n_averaged) == 4


@pytest.mark.parametrize("stop", [1, 3])
def test_adapters_and_frozen_weights_go_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    def build() -> Learner:
        model = learners.build("bert")
        layers.freeze(model, 1)
        adapters.attach(model, Adapter(name="dora", dropout=0.2))
        return learners.learner(model, total=6, ema_decay=0.5)

    whole, second, losses, found = continued(tmp_path, build, stop)
    assert found == losses
    assert same(second.model.state_dict(), whole.model.state_dict())
    assert same(second.optimizer.state_dict(), whole.optimizer.state_dict())


def test_every_random_generator_is_restored(start: Start, tmp_path: Path) -> None:
    learner = start().learner
    saved = checkpoints.save(tmp_path, learner, Position())
    draws = []
    for _ in range(2):
        checkpoints.restore(saved, learner)
        draws.append((torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()))
    assert draws[0] == draws[1]


def test_partial_folder_is_ignored(start: Start, tmp_path: Path) -> None:
    learner = start().learner
    saved = checkpoints.save(tmp_path, learner, Position(step=4))
    torn = saved.with_name(f"step-00000009-0000{PARTIAL}")
    shutil.copytree(saved, torn)
    (torn / "model.safetensors").write_bytes(b"torn")
    assert checkpoints.latest(tmp_path) == saved
    shutil.rmtree(saved)
    assert checkpoints.latest(tmp_path) is None


def test_leftover_of_a_kill_is_written_over(start: Start, tmp_path: Path) -> None:
    learner = start().learner
    torn = tmp_path / checkpoints.FOLDER / f"step-00000003-0000{PARTIAL}"
    torn.mkdir(parents=True)
    (torn / "unexpected").write_bytes(b"torn")
    saved = checkpoints.save(tmp_path, learner, Position(step=3))
    assert checkpoints.latest(tmp_path) == saved
    assert not (saved / "unexpected").exists()
    assert not torn.exists()


def test_newest_checkpoint_is_kept_alone(start: Start, tmp_path: Path) -> None:
    learner = start().learner
    for position in (Position(step=9), Position(step=10), Position(step=10, epoch=1)):
        saved = checkpoints.save(tmp_path, learner, position)
        assert checkpoints.latest(tmp_path) == saved
        assert list((tmp_path / checkpoints.FOLDER).iterdir()) == [saved]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None


def test_files_are_safetensors_and_json(start: Start, tmp_path: Path) -> None:
    session = start()
    run_steps(session, 0, 1)
    saved = checkpoints.save(tmp_path, session.learner, Position(step=1))
    files = files_below(saved)
    assert len(files) == 4
    for path in files:
        if path.suffix == ".json":
            assert read_json(path)["position"]["step"] == 1
        else:
            with safe_open(path, "pt") as tensors:
                assert tensors.keys()


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path: Path, start: Start) -> None:
    torch.manual_seed(1)
    learner = replace(start().learner, model=Tied())
    assert list(checkpoints.own_tensors(learner.model)) == [
        "empty",
        "nothing",
        "embedding.weight",
        "output.bias",
    ]
    path = checkpoints.save(tmp_path, learner, Position()) / "model.safetensors"
    other = Tied()
    checkpoints.load_tensors(other, path)
    assert other.output.weight is other.embedding.weight
    assert torch.equal(other.output.weight, learner.model.get_parameter("embedding.weight"))


@pytest.mark.parametrize(("saved", "loaded"), [(3, 2), (2, 3)])
def test_other_model_is_refused(tmp_path: Path, start: Start, saved: int, loaded: int) -> None:
    models = {size: nn.Sequential(*(nn.Linear(2, 2) for _ in range(size))) for size in (2, 3)}
    learner = replace(start().learner, model=models[saved])
    path = checkpoints.save(tmp_path, learner, Position()) / "model.safetensors"
    with pytest.raises(ValueError, match="does not fit the model"):
        checkpoints.load_tensors(models[loaded], path)
