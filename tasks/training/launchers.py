"""Start the worker processes of a training, watch and stop them.

To add a launcher, write a class with the three methods of :class:`Launcher` and name it in an entry
point of the group ``onestep.launchers``; ``compute.launcher`` then takes its name. A class of this
package goes into the table ``LAUNCHERS`` instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from configs.errors import ModelError, Problem, WorkerFailure
from configs.language import _
from tasks.extensions import Extensions
from tasks.processes.calls import CPU_SETTINGS, RunningCall, how_it_ended
from tasks.training import worker
from tasks.training.events import Record, Tail

LOG = "worker.log"
"""The file, in the folder of the job, for what the workers print."""
RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
POLL_SECONDS = 0.1
CUDA_OUT_OF_MEMORY = "OutOfMemoryError"


class Launcher(Protocol):
    """Runs the workers of one job; each worker runs :func:`command` in :func:`environment`.

    Keep the standard input of a worker open while it runs: when it closes, the worker ends its
    process group. So start the worker in its own session, as
    ``tasks.processes.children.start`` does.
    """

    def start(self, folder: Path) -> None:
        """Start every worker; ``folder`` holds ``job.json``, and ``LOG`` takes their output."""

    def watch(self, seconds: float) -> int | None:
        """Wait for at most ``seconds``.

        Returns:
            None while the workers run; 0 when all have ended well; else the exit code of one that
            failed, negative if a signal ended it. The others may still run.
        """

    def stop(self) -> None:
        """End the workers; may be called at any time, also before ``start``."""


def command(folder: Path) -> list[str]:
    """The command of a worker."""
    return [sys.executable, "-m", "tasks.training.worker", str(folder)]


def environment(rank: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: settings that torch reads when it loads, below the user's own.

    The ``rank`` has ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``, as torchrun sets
    them; without it, there is one worker.
    """
    own = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
    return CPU_SETTINGS | own | dict(rank or {})


class LocalLauncher:
    """Starts one worker on this machine, in its own process group."""

    def __init__(self) -> None:
        self._worker: RunningCall[None] | None = None

    def start(self, folder: Path) -> None:
        self._worker = RunningCall(worker.run, (folder,), folder / LOG, environment())

    def watch(self, seconds: float) -> int | None:
        assert self._worker is not None
        return self._worker.watch(seconds)

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()


LAUNCHERS: Final[Extensions[Callable[[], Launcher]]] = Extensions(
    "onestep.launchers", {"local": LocalLauncher}
)


def run(
    launcher: Launcher,
    folder: Path,
    on_event: Callable[[Record], None],
    timeout_seconds: float | None = None,
) -> None:
    """Run the job of a folder until it ends, forward its events, and always stop the workers.

    Args:
        folder: where ``job.json`` is.
        on_event: called with every new event.
        timeout_seconds: stop the workers after this time.

    Raises:
        ModelError: the model does not support the settings.
        WorkerFailure: a worker died, raised, or ran out of time.
    """
    tail = Tail(folder)
    for _line in tail.read():
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
    return _(
        "the training process ran longer than compute.timeout_minutes ({minutes:g}); killed",
        minutes=minutes,
    )


def _reason(folder: Path, code: int, last: Record) -> str:
    log = folder / LOG
    if last.get("kind") == "error":
        message = _(
            "training failed: {message}; details in {parent}",
            message=last["message"],
            parent=log.parent / "events.jsonl",
        )
        if CUDA_OUT_OF_MEMORY in message:
            message += _("; lower training.batch_size and raise gradient_accumulation_steps")
        return message
    if code < 0:
        how = how_it_ended(code)
        return _("the training process {how}; run again to resume", how=how)
    said = f" ({lines[-1][:200]})" if (lines := _lines(log)) else ""
    return _(
        "the training process ended with code {code}{said}; its output is in {log}",
        code=code,
        said=said,
        log=log,
    )


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []
