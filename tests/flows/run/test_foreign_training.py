"""A launcher and an optimizer from outside of the source tree, through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.training import events
from tasks.training.launchers import LAUNCHERS
from tasks.training.optimization.optimizers import OPTIMIZERS
from tests.support import packages
from tests.support.commands import assert_nothing_runs, succeed
from tests.support.homes import Finished, versions

SOURCE = """
import torch
from tasks.training.optimization.optimizers import OptimizerFactory


def build(groups, betas):
    return torch.optim.RMSprop(groups, alpha=betas[1])


RMSPROP = OptimizerFactory(build=build, hyperparameters=("betas",), moments=1)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("one_prefect")
def test_launcher_and_optimizer_of_a_package(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks meet, train with the optimizer, and the model of the first one is registered."""
    source = packages.TWO_RANKS + SOURCE
    points = {
        LAUNCHERS.group: {"two_ranks": "TwoRanks"},
        OPTIMIZERS.group: {"rmsprop": "RMSPROP"},
    }
    packages.install(tmp_path / "package", monkeypatch, "foreign_training", source, points)
    home = finished.copy(tmp_path / "home")
    sets = ["--set", "training.epochs=1", "--set", "training.learning_rate=0.002"]
    sets += ["--set", "compute.launcher=two_ranks", "--set", "training.optimizer.name=rmsprop"]
    record = json.loads(succeed(home, "run", finished.file, *sets, "--json"))
    (log,) = (home / "stages" / "finetuning").glob("*/events.jsonl")
    started = next(e for e in events.history(log.parent) if e["kind"] == "started")
    assert started["world_size"] == 2
    assert record["training"]["last_loss"] < record["training"]["first_loss"]
    assert versions(home, "reviews") == [1]
    assert_nothing_runs(home)
