"""Run a job: start the workers, forward their events, and always stop the workers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from configs.errors import ModelError, Problem, WorkerFailure
from tasks.training.events import Record, Tail
from tasks.training.launchers.base import LOG, Launcher

POLL_SECONDS = 0.1
CUDA_OUT_OF_MEMORY = "OutOfMemoryError"


def run(
    launcher: Launcher,
    folder: Path,
    on_event: Callable[[Record], None],
    timeout_seconds: float | None = None,
) -> None:
    """Run the job of a folder until it ends.

    Args:
        launcher: a new one.
        folder: where ``job.json`` is.
        on_event: called with every new event.
        timeout_seconds: stop the workers after this time.

    Raises:
        ModelError: the model does not support the settings.
        WorkerFailure: a worker died, raised, or ran out of time.
    """
    tail = Tail(folder)
    for _ in tail.read():
        pass
    last: Record = {}
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    code: int | None = None
    try:
        launcher.start(folder)
        while code is None:
            code = launcher.watch(POLL_SECONDS)
            for record in tail.read():
                last = record
                on_event(record)
            if deadline is not None and time.monotonic() > deadline:
                raise WorkerFailure(_out_of_time(timeout_seconds))
    finally:
        launcher.stop()
    if code != 0 or last.get("kind") != "done":
        if problems := last.get("problems"):
            raise ModelError([Problem(*problem) for problem in problems])
        raise WorkerFailure(_reason(folder, code, last))


def _out_of_time(seconds: float | None) -> str:
    minutes = (seconds or 0) / 60
    return f"the training process ran longer than compute.timeout_minutes ({minutes:g}); killed"


def _reason(folder: Path, code: int, last: Record) -> str:
    log = folder / LOG
    if last.get("kind") == "error":
        message = f"training failed: {last['message']}; details in {log.parent / 'events.jsonl'}"
        if CUDA_OUT_OF_MEMORY in message:
            message += "; lower training.batch_size and raise gradient_accumulation_steps"
        return message
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; out of memory is the usual cause" if -code == signal.SIGKILL else ""
        return f"the training process was killed by {name}{hint}; run again to resume"
    said = f" ({lines[-1][:200]})" if (lines := _lines(log)) else ""
    return f"the training process ended with code {code}{said}; its output is in {log}"


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []
