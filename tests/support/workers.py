"""Run the real training process, and kill it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tasks.training.events import Record, Tail
from tasks.training.job import Job
from tasks.training.launchers import LOG, LocalLauncher
from tasks.training.launchers import run as run_job

PATIENCE = 120.0


def run(job: Job, folder: Path, timeout_seconds: float | None = None) -> list[Record]:
    """Run a job to its end; return the events that the launcher passed on."""
    folder.mkdir(exist_ok=True)
    job.write(folder)
    seen: list[Record] = []
    run_job(LocalLauncher(), folder, seen.append, timeout_seconds)
    return seen


def workers_of(folder: Path) -> list[psutil.Process]:
    """The training processes of a folder that still run; a zombie has ended."""
    log, found = str(folder / LOG), []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if log in (file.path for file in process.open_files()):
                found.append(process)
    return [process for process in found if process.pid != os.getpid() and alive(process)]


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that will happen.

    Raises:
        TimeoutError: it did not.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never happened")
        time.sleep(0.005)


def reached(folder: Path, step: int) -> Callable[[], bool]:
    """Whether the log of a folder has an optimizer step."""
    tail = Tail(folder)
    return lambda: any(record.get("step", 0) >= step for record in tail.read())


def kill_at(folder: Path, step: int) -> threading.Thread:
    """Kill the worker with SIGKILL, from the background, once it has logged a step."""

    def work() -> None:
        wait_until(reached(folder, step))
        for process in workers_of(folder):
            process.kill()

    thread = threading.Thread(target=work)
    thread.start()
    return thread
