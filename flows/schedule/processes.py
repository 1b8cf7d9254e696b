"""Runs of a schedule as processes, and the time by the system's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from configs.errors import Failure
from flows.schedule.files import ScheduledPipeline, none_yet
from flows.schedule.folders import Folders
from flows.schedule.reservations import Reservations
from flows.schedule.server import Job, JobResult, Memory, ScheduleEvent, Server
from flows.servers.prefect import prefect_api
from tasks import child_processes
from tasks.workspace import Workspace

POLL_SECONDS: Final = 0.2
LOOK_AGAIN: Final = timedelta(seconds=30)
"""How long a changed file, or a clock that was set, goes unnoticed."""
GRACE_SECONDS: Final = 15.0
"""For a training to end its worker and to tell MLflow."""
LAST_LINES: Final = 3


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The present, in UTC."""
        return datetime.now(UTC)

    def wait(self, until: datetime | None, jobs: Sequence[Job]) -> None:
        """Sleep until a time, or until a job ends."""
        latest = self.now() + LOOK_AGAIN
        until = min(until or latest, latest)
        while (left := (until - self.now()).total_seconds()) > 0:
            if any(job.poll() is not None for job in jobs):
                return
            time.sleep(min(left, POLL_SECONDS) if jobs else left)


class Process:
    """``onestep retrain`` as a child process, which ends with this one, even if this one is killed.

    Args:
        file: of the pipeline.
        output: file for what it prints.
        log: file for everything else that it says.
        environment: of the process.
    """

    def __init__(self, file: Path, output: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.output = output
        self.log = log
        self._ended: JobResult | None = None
        command = [
            sys.executable,
            "-m",
            "flows.cli.main",
            "retrain",
            str(file),
            "--scheduled",
            "--json",
        ]
        with output.open("wb") as out, log.open("wb") as err:
            self._process = child_processes.start(
                [*child_processes.GUARD, *command], stdout=out, stderr=err, env=environment
            )

    def poll(self) -> JobResult | None:
        """How it ended; None while it goes on."""
        if self._ended is None and (code := self._process.poll()) is not None:
            child_processes.stop(self._process)
            record = self._record()
            good = code == 0 and bool(record)
            note = record["note"] if good else self._reason(code)
            self._ended = JobResult(0, note, record) if good else JobResult(code or 1, note)
        return self._ended

    def _record(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self.output.read_text(encoding="utf-8")))
        return {}

    def _reason(self, code: int) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        said = "; ".join(errors[:LAST_LINES]) or f"it ended with code {code}"
        return f"{said}; its output is in {self.log}"

    def stop(self) -> None:
        """Ask it to end as after Ctrl-C, then kill what is left."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        child_processes.stop(self._process)


@dataclass(frozen=True, slots=True)
class Resources:
    """What serving a schedule takes.

    Attributes:
        memory: where due times are remembered.
        launch: starts a run.
        reservations: which pipelines this process serves.
        note: what was put right at the start.
    """

    memory: Memory
    launch: Callable[[ScheduledPipeline], Job]
    reservations: Reservations
    note: str


@contextmanager
def prepared(workspace: Workspace, pipelines: Sequence[ScheduledPipeline]) -> Iterator[Resources]:
    """Reserve the pipelines, provide Prefect, and put right what dead processes left.

    Raises:
        UserError: another process serves one of them.
    """
    folder = workspace.root / "schedule"
    folder.mkdir(exist_ok=True)
    # As it was given, so that each run finds the Prefect server anew, or starts one.
    environment = dict(os.environ)

    def launch(one: ScheduledPipeline) -> Job:
        output, log = (folder / f"{one.name}.{ending}" for ending in ("out", "log"))
        return Process(one.file, output, log, environment)

    with Reservations(workspace, pipelines) as reservations, prefect_api(workspace):
        yield Resources(Memory(folder), launch, reservations, _put_right(workspace, pipelines))


def serve(
    resources: Resources,
    found: Sequence[ScheduledPipeline],
    paths: Sequence[Path],
    tell: Callable[[ScheduleEvent], None],
    at_once: int,
) -> None:
    """Serve schedules until an exception comes, and those that come into folders meanwhile.

    Args:
        resources: of this process.
        found: what is served from the start.
        paths: of the folders to watch.
        tell: called with every event.
        at_once: how many runs may go on at the same time.
    """
    clock = SystemClock()

    def say(kind: str, name: str, note: str) -> None:
        tell(ScheduleEvent(kind, name, clock.now(), note))

    def complain(file: Path, note: str) -> None:
        say("failed", file.stem, note)

    if not found:
        say("waiting", "schedule", str(none_yet(paths)))
    if resources.note:
        say("reconciled", "workspace", resources.note)
    folders = Folders(paths, resources.reservations, complain)
    runs = resources.memory, resources.launch, folders
    Server(found, *runs, clock, tell, at_once=at_once).serve()


def _put_right(workspace: Workspace, pipelines: Sequence[ScheduledPipeline]) -> str:
    from flows.reconciling import reconcile
    from flows.servers.leases import shared
    from tasks.tracking.client import connect

    models = {one.config.model_name for one in pipelines}
    try:
        return reconcile(shared(workspace), connect(workspace), sorted(models)).note
    except Failure as error:
        # Each run tries again.
        return str(error)
