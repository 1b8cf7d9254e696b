"""Runs of a schedule as processes, and the time by the system's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from configs.errors import Failure
from configs.language import _, english
from flows.schedule.files import Folders, Reservations, ScheduledPipeline, none_yet
from flows.schedule.server import Job, JobResult, Memory, ScheduleEvent, Server
from flows.servers.prefect import prefect_api
from tasks.processes import children
from tasks.workspace import Workspace

POLL_SECONDS: Final = 0.2
LOOK_AGAIN: Final = timedelta(seconds=30)
"""Longest time until a changed file or a changed clock is noticed."""
GRACE_SECONDS: Final = 15.0
"""Time for a training to end its worker and to update MLflow."""
LAST_LINES: Final = 3


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, until: datetime | None, jobs: Sequence[Job]) -> None:
        latest = self.now() + LOOK_AGAIN
        until = min(until or latest, latest)
        while (left := (until - self.now()).total_seconds()) > 0:
            if any(job.poll() is not None for job in jobs):
                return
            time.sleep(min(left, POLL_SECONDS) if jobs else left)


class Process:
    """``onestep retrain`` as a child process, which ends with this one, even if this one is killed.

    What it prints goes to the file ``output``, everything else that it says to ``log``.
    """

    def __init__(self, file: Path, output: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.output = output
        self.log = log
        self._ended: JobResult | None = None
        command = [sys.executable, "-m", "flows.cli.main", "retrain", str(file)]
        command += ["--scheduled", "--json"]
        with output.open("wb") as out, log.open("wb") as err:
            self._process = children.start(
                [*children.GUARD, *command], stdout=out, stderr=err, env=environment
            )

    def poll(self) -> JobResult | None:
        if self._ended is None and (code := self._process.poll()) is not None:
            children.stop(self._process)
            record = self._record()
            if code == 0 and record:
                self._ended = JobResult(0, record["note"], record)
            else:
                self._ended = JobResult(code or 1, self._reason(code))
        return self._ended

    def _record(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self.output.read_text(encoding="utf-8")))
        return {}

    def _reason(self, code: int) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        mark = _("error: {line}", line="")
        errors = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        said = "; ".join(errors[:LAST_LINES]) or english("it ended with code {code}", code=code)
        return english("{said}; its output is in {log}", said=said, log=self.log)

    def stop(self) -> None:
        """End it as Ctrl-C does, then kill what is left."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        children.stop(self._process)


def serve(
    workspace: Workspace,
    pipelines: Sequence[ScheduledPipeline],
    folders: Sequence[Path],
    tell: Callable[[ScheduleEvent], None],
    at_once: int,
    on_ready: Callable[[], None],
) -> None:
    """Serve schedules until an exception comes.

    Args:
        workspace: keeps due times, and the output of runs.
        pipelines: served from the start.
        folders: watched for more pipelines.
        tell: called with every event.
        at_once: limit of runs at the same time.
        on_ready: called once the pipelines are reserved and Prefect answers.

    Raises:
        UserError: another process serves one of the pipelines.
    """
    folder = workspace.root / "schedule"
    folder.mkdir(exist_ok=True)
    clock, environment = SystemClock(), dict(os.environ)

    def launch(one: ScheduledPipeline) -> Job:
        # In the environment from before, so that each run finds or starts the Prefect server.
        output, log = (folder / f"{one.name}.{ending}" for ending in ("out", "log"))
        return Process(one.file, output, log, environment)

    def say(kind: str, name: str, note: str) -> None:
        tell(ScheduleEvent(kind, name, clock.now(), note))

    with Reservations(workspace, pipelines) as reservations, prefect_api(workspace):
        note = _clean_up(workspace, pipelines)
        on_ready()
        if not pipelines:
            say("waiting", "schedule", str(none_yet(folders)))
        if note:
            say("reconciled", "workspace", note)
        watched = Folders(folders, reservations, lambda file, why: say("failed", file.stem, why))
        Server(pipelines, Memory(folder), launch, watched, clock, tell, at_once=at_once).serve()


def _clean_up(workspace: Workspace, pipelines: Sequence[ScheduledPipeline]) -> str:
    from flows.reconciling import reconcile
    from flows.servers.leases import shared
    from tasks.tracking.client import connect

    models = {one.config.model_name for one in pipelines}
    try:
        return reconcile(shared(workspace), connect(workspace), sorted(models)).note
    except Failure as error:
        # Each run tries again.
        return str(error)
