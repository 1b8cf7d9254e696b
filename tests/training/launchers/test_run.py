"""A job that is run by a launcher: its events, its failures, its end."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ModelError, WorkerFailure
from tasks.training.events import FILE, Record
from tasks.training.launchers.base import LOG
from tasks.training.launchers.run import run

STEP, DONE = {"kind": "step", "step": 1}, {"kind": "done"}


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
