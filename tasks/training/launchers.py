"""Start the worker, watch it, and never leave it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tasks.errors import ModelError, Problem, WorkerFailure
from tasks.training.events import Record, Tail

LOG = "worker.log"
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
CPU_SETTINGS = {
    # Threads sleep while they wait, so that another busy process does not stall them.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Each batch length makes oneDNN build kernels; keeping all of them costs 10 MB a length and
    # gains nothing.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # Activations go back to the heap instead of the kernel, which would have to zero the pages
    # of the next step.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}
CUDA_OUT_OF_MEMORY = "OutOfMemoryError"


def run_local(
    folder: Path, on_event: Callable[[Record], None], timeout_seconds: float | None = None
) -> None:
    """Run the job of a folder in a process group of its own until it ends.

    Args:
        folder: where ``job.json`` is.
        on_event: called with every new event.
        timeout_seconds: kill the group after this time.

    Raises:
        ModelError: the model cannot do what the settings ask of it.
        WorkerFailure: it died, raised, or ran out of time.
    """
    tail = Tail(folder)
    for _ in tail.read():
        pass
    last: Record = {}
    with (folder / LOG).open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tasks.training.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
        )
        try:
            deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
            running = True
            while running:
                running = worker.poll() is None
                for record in tail.read():
                    last = record
                    on_event(record)
                if deadline is not None and time.monotonic() > deadline:
                    raise WorkerFailure(_out_of_time(timeout_seconds))
                if running:
                    _wait(worker)
        finally:
            stop(worker)
    if worker.returncode != 0 or last.get("kind") != "done":
        if problems := last.get("problems"):
            raise ModelError([Problem(*problem) for problem in problems])
        raise WorkerFailure(_reason(folder, worker.returncode, last))


def _wait(worker: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        worker.wait(POLL_SECONDS)


def _environment() -> dict[str, str]:
    """Settings that must be there before torch is loaded; what the user set stays."""
    return CPU_SETTINGS | os.environ


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End the worker's whole process group: ask, wait a little, kill."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is not None:
            break
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(GRACE_SECONDS)
    if worker.stdin:
        worker.stdin.close()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)


def _out_of_time(seconds: float | None) -> str:
    minutes = (seconds or 0) / 60
    return f"the training process ran longer than compute.timeout_minutes ({minutes:g}); killed"


def _reason(folder: Path, code: int | None, last: Record) -> str:
    log = folder / LOG
    if last.get("kind") == "error":
        message = f"training failed: {last['message']}; details in {log.parent / 'events.jsonl'}"
        if CUDA_OUT_OF_MEMORY in message:
            message += "; lower training.batch_size and raise gradient_accumulation_steps"
        return message
    if code is not None and code < 0:
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
