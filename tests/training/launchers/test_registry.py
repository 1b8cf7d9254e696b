"""Launchers: the one that ships, and one that an installed package brings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from configs.errors import WorkerFailure
from tasks.store import files_below
from tasks.training import events, loop, session
from tasks.training.events import EventLog
from tasks.training.launchers import base, registry
from tasks.training.launchers.run import run
from tests.support import packages
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("workers")


@pytest.fixture
def two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A launcher from outside of the source tree: two workers that meet through gloo."""
    points = {registry.GROUP: {"two_ranks": "TwoRanks"}}
    packages.install(
        tmp_path / "package", monkeypatch, "two_rank_launcher", packages.TWO_RANKS, points
    )
    return "two_ranks"


def learned(folder: Path) -> list[tuple[float, ...]]:
    names = ("step", "epoch", "loss", "grad_norm", "learning_rate", "samples", "tokens")
    return [tuple(record[name] for name in names) for record in events.steps(folder)]


def test_two_ranks_meet_and_agree(prepared: Prepared, two_ranks: str, tmp_path: Path) -> None:
    """Both see the same batches, so each step is that of one worker; only the first one writes."""
    job = prepared.job(epochs=1, save_steps=5)
    two, one = tmp_path / "two", tmp_path / "one"
    two.mkdir()
    one.mkdir()
    job.write(two)
    run(registry.create(two_ranks), two, lambda record: None)
    with EventLog(one) as alone:
        loop.train(session.build(job, one), alone)
    assert learned(two) == [pytest.approx(step, rel=1e-6) for step in learned(one)]
    kinds = [record["kind"] for record in events.history(two)]
    assert kinds == ["forecast", "started", *["step"] * 18, "validation", "done"]
    assert events.history(two)[1]["world_size"] == 2
    extra = {p.relative_to(two).as_posix() for p in files_below(two)}
    extra -= {p.relative_to(one).as_posix() for p in files_below(one)}
    assert extra == {"job.json", "worker.lock", "worker.log"}


def test_failure_of_one_rank_ends_the_others(
    prepared: Prepared, two_ranks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.job().write(tmp_path)
    broken = [sys.executable, "-c", "import os; os.environ['RANK'] == '1' and exit(3) or input()"]
    monkeypatch.setattr(base, "command", lambda folder: [*broken, str(folder)])
    launcher: Any = registry.create(two_ranks)
    with pytest.raises(WorkerFailure, match=r"ended with code 3; its output is in .*worker\.log"):
        run(launcher, tmp_path, lambda record: None)
    assert all(worker.poll() is not None for worker in launcher.workers)
