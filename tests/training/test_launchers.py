"""The launcher that ships, one that an installed package brings, and the run of a job."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ModelError, WorkerFailure
from tasks.store import files_below
from tasks.training import events, launchers, loop, session
from tasks.training.events import FILE, EventLog, Record
from tasks.training.launchers import LAUNCHERS, LOG, LocalLauncher, run
from tests.support import packages
from tests.support.pipelines import Prepared
from tests.support.workers import alive, wait_until, workers_of

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("workers")

STEP, DONE = {"kind": "step", "step": 1}, {"kind": "done"}


def end(code: int, folder: Path) -> None:
    print(f"works in {folder.name}")
    sys.exit(code)


def wait(folder: Path) -> None:
    time.sleep(600)


def launch(
    work: Callable[[Path], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> LocalLauncher:
    """Start a worker that does something else."""
    monkeypatch.setattr(launchers.worker, "run", work)
    launcher = LocalLauncher()
    launcher.start(folder)
    return launcher


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_that_of_the_worker(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = launch(partial(end, code), tmp_path, monkeypatch)
    assert launcher.watch(60) == code
    assert (tmp_path / LOG).read_text() == f"works in {tmp_path.name}\n"
    launcher.stop()


def test_a_stopped_worker_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = launch(wait, tmp_path, monkeypatch)
    wait_until(lambda: len(workers_of(tmp_path)) == 1)
    (worker,) = workers_of(tmp_path)
    assert os.getpgid(worker.pid) == worker.pid
    assert launcher.watch(0) is None
    launcher.stop()
    assert launcher.watch(0) == -signal.SIGTERM
    assert not alive(worker)


def test_a_launcher_may_be_stopped_before_it_starts() -> None:
    LocalLauncher().stop()


@pytest.fixture
def two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A launcher from outside of the source tree: two workers that meet through gloo."""
    points = {LAUNCHERS.group: {"two_ranks": "TwoRanks"}}
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
    run(LAUNCHERS.load(two_ranks)(), two, lambda record: None)
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
    monkeypatch.setattr(launchers, "command", lambda folder: [*broken, str(folder)])
    launcher: Any = LAUNCHERS.load(two_ranks)()
    with pytest.raises(WorkerFailure, match=r"ended with code 3; its output is in .*worker\.log"):
        run(launcher, tmp_path, lambda record: None)
    assert all(worker.poll() is not None for worker in launcher.workers)


class Worker:
    """A launcher whose worker logs some events, prints a text, and ends with a code."""

    def __init__(self, *records: Record, code: int | None = 0, text: str = "") -> None:
        self.records, self.code, self.text = records, code, text
        self.stopped = False

    def start(self, folder: Path) -> None:
        (folder / LOG).write_text(self.text)
        with (folder / FILE).open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in self.records)

    def watch(self, seconds: float) -> int | None:
        return self.code

    def stop(self) -> None:
        self.stopped = True


def test_new_events_are_passed_on(tmp_path: Path) -> None:
    Worker({"kind": "started"}).start(tmp_path)
    seen: list[Record] = []
    run(Worker(STEP, DONE), tmp_path, seen.append)
    assert seen == [STEP, DONE]


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (Worker(STEP, code=3, text="no\nlast line\n"), r"ended with code 3 \(last line\); its out"),
        (Worker(STEP), "ended with code 0; its output is in"),
        (Worker(STEP, code=-signal.SIGKILL), "killed by SIGKILL; out of memory is the usual cause"),
        (Worker(STEP, code=-signal.SIGTERM), "killed by SIGTERM; run again to resume"),
        (Worker({"kind": "error", "message": "E: no"}, code=1), "training failed: E: no; details"),
        (
            Worker({"kind": "error", "message": "OutOfMemoryError: full"}, code=1),
            r"full.*; lower training\.batch_size",
        ),
    ],
)
def test_a_failure_says_why(worker: Worker, words: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure, match=words):
        run(worker, tmp_path, lambda record: None)
    assert worker.stopped


def test_problems_of_the_model_are_those_of_the_user(tmp_path: Path) -> None:
    problems = [["model.base", "no such head", "take another"]]
    error: Record = {"kind": "error", "message": "ModelError", "problems": problems}
    with pytest.raises(ModelError, match=r"model\.base: no such head \(take another\)"):
        run(Worker(error, code=1), tmp_path, lambda record: None)


def test_a_worker_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    worker = Worker(STEP, code=None)
    with pytest.raises(WorkerFailure, match=r"longer than compute\.timeout_minutes \(0\.0005\)"):
        run(worker, tmp_path, lambda record: None, timeout_seconds=0.03)
    assert worker.stopped


def test_the_worker_is_stopped_when_its_events_cannot_be_handled(tmp_path: Path) -> None:
    def fail(record: Record) -> Any:
        raise KeyboardInterrupt

    worker = Worker(STEP, code=None)
    with pytest.raises(KeyboardInterrupt):
        run(worker, tmp_path, fail)
    assert worker.stopped
