"""Serve the schedules of several pipelines: one loop, a process for each run.

The loop does not use Prefect's schedules, for the reasons in :mod:`flows.schedule.timetable`; the
runs are Prefect runs. One file per pipeline has the time until which it was served, written when a
run has ended: if this process or the machine dies, the interrupted run is due again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from configs.errors import UserError
from configs.language import english
from configs.retraining import Retraining
from flows.run.reading import read
from flows.schedule.files import Folders, ScheduledPipeline, stamp
from flows.schedule.timetable import decide
from tasks.store import read_json, write_json


@dataclass(frozen=True, slots=True)
class JobResult:
    """The exit code of a run, one line for people, and the output of ``onestep retrain --json``.

    The code is 0 also if there was nothing to do.
    """

    code: int
    note: str
    record: dict[str, Any] = field(default_factory=dict)


class Job(Protocol):
    """A started run."""

    def poll(self) -> JobResult | None:
        """The result; None while the run goes on."""

    def stop(self) -> None:
        """End the run and its child processes."""


class Clock(Protocol):
    """The time, real or simulated."""

    def now(self) -> datetime:
        """The present, in UTC."""

    def wait(self, until: datetime | None, jobs: Sequence[Job]) -> None:
        """Return at ``until`` at the latest, earlier if a job ends."""


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """An event of a pipeline.

    Attributes:
        kind: ``started``, ``ended``, ``failed``, ``skipped``, ``held``, ``changed``, ``added`` or
            ``removed``.
        due: the due time of the run.
        record: as in :class:`JobResult`.
    """

    kind: str
    pipeline: str
    at: datetime
    note: str = ""
    due: datetime | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON values, for ``onestep schedule --json``."""
        return {
            "event": self.kind,
            "pipeline": self.pipeline,
            "at": self.at.isoformat(),
            "due": self.due.isoformat() if self.due else None,
            "note": self.note,
            "run": self.record,
        }


class Memory:
    """The time until which each pipeline was served, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recall(self, one: ScheduledPipeline, now: datetime) -> datetime:
        """The stored time; ``now`` if there is none, or only one of another schedule."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = read_json(self._path(one.name))
            if known["schedule"] == _when(one.config.schedule):
                return datetime.fromisoformat(known["since"])
        return now

    def remember(self, one: ScheduledPipeline, since: datetime) -> None:
        """Store the time until which a pipeline was served."""
        record = {"since": since.isoformat(), "schedule": _when(one.config.schedule)}
        write_json(self._path(one.name), record)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _when(schedule: Retraining) -> dict[str, Any]:
    """The settings that decide the due times."""
    return schedule.model_dump(mode="json", include={"cron", "interval", "timezone"})


@dataclass
class ScheduleState:
    """A pipeline that is served.

    Attributes:
        one: its file when it was last read.
        since: the time until which it was served.
        job: the current run.
        due: the due time of that run.
        held: whether the event about a following run has been sent.
    """

    one: ScheduledPipeline
    since: datetime
    job: Job | None = None
    due: datetime | None = None
    held: bool = False


class Server:
    """Serves schedules until it is interrupted.

    Args:
        pipelines: served from the start.
        memory: the time until which each was served.
        launch: starts a run of a pipeline.
        folders: finds more pipelines.
        tell: called with every event.
        at_once: limit of runs at the same time.
    """

    def __init__(
        self,
        pipelines: Iterable[ScheduledPipeline],
        memory: Memory,
        launch: Callable[[ScheduledPipeline], Job],
        folders: Folders,
        clock: Clock,
        tell: Callable[[ScheduleEvent], None],
        *,
        at_once: int = 1,
    ) -> None:
        self.memory = memory
        self.launch = launch
        self.clock = clock
        self.tell = tell
        self.at_once = at_once
        self.folders = folders
        self.served = [self._begin(one) for one in pipelines]

    def serve(self) -> None:
        """Serve until an exception comes, then end all runs."""
        try:
            while True:
                until = self.turn()
                self.clock.wait(until, self._jobs())
        finally:
            for job in self._jobs():
                job.stop()

    def turn(self) -> datetime | None:
        """Take every step that is due; return the time of the next one."""
        for served in self.served:
            self._collect(served)
        for served in [one for one in self.served if one.job is None]:
            self._follow_file(served)
        for one in self.folders.arrivals([served.one for served in self.served]):
            self.served.append(self._begin(one))
            self._tell(
                self.served[-1],
                english("added"),
                english("it is served from {file}", file=one.file),
            )
        times = [self._take(served) for served in sorted(self.served, key=_turn)]
        return min((time for time in times if time is not None), default=None)

    def _begin(self, one: ScheduledPipeline) -> ScheduleState:
        served = ScheduleState(one, self.memory.recall(one, self.clock.now()))
        self.memory.remember(one, served.since)
        return served

    def _jobs(self) -> list[Job]:
        return [served.job for served in self.served if served.job is not None]

    def _tell(self, served: ScheduleState, kind: str, note: str = "", **more: Any) -> None:
        self.tell(ScheduleEvent(kind, served.one.name, self.clock.now(), note, **more))

    def _collect(self, served: ScheduleState) -> None:
        """Report a run that has ended, and store that."""
        if served.job is None or (ended := served.job.poll()) is None:
            return
        served.job = None
        self.memory.remember(served.one, served.since)
        kind = english("failed") if ended.code else english("ended")
        self._tell(served, kind, ended.note, due=served.due, record=ended.record)

    def _follow_file(self, served: ScheduleState) -> None:
        """Apply changes of the file; if it cannot be read, the schedule stays as it was.

        Without its name or its schedule, a pipeline is no longer served. If its file is in a
        watched folder, it may come back under another name.
        """
        file, now = served.one.file, stamp(served.one.file)
        if not file.exists():
            self._drop(served, english("{file} is gone", file=file))
            return
        if now == served.one.stamp:
            return
        served.one = replace(served.one, stamp=now)
        try:
            config = read(file)
        except UserError as error:
            self._tell(served, english("failed"), str(error))
            return
        if config.name != served.one.name:
            self._drop(
                served, english("{file} is the file of {name!r} now", file=file, name=config.name)
            )
        elif not config.schedule.declared:
            self._drop(served, english("{file} declares no schedule any more", file=file))
        else:
            self._change(served, ScheduledPipeline(file, config, now))

    def _drop(self, served: ScheduleState, why: str) -> None:
        self.served.remove(served)
        self.folders.leave(served.one)
        self._tell(served, english("removed"), why)

    def _change(self, served: ScheduleState, one: ScheduledPipeline) -> None:
        before, served.one = served.one, one
        if _when(before.config.schedule) != _when(one.config.schedule):
            served.since = self.clock.now()
            self.memory.remember(served.one, served.since)
            self._tell(served, english("changed"), english("its schedule was changed"))

    def _take(self, served: ScheduleState) -> datetime | None:
        """Take the step that is due for a pipeline; return the time of the next one."""
        now, running = self.clock.now(), served.job is not None
        step = decide(served.one.table, served.since, now, running=running)
        if step.action == "run" and len(self._jobs()) < self.at_once:
            self._start(served, step.first, step.due)
            return self._take(served)
        if step.action == "skip":
            served.since = step.due
            self._tell(
                served, english("skipped"), english("the run before it goes on"), due=step.due
            )
            return self._take(served)
        if step.action == "hold" and not served.held:
            served.held = True
            self._tell(
                served, english("held"), english("it follows the run that goes on"), due=step.due
            )
        return step.until

    def _start(self, served: ScheduleState, first: datetime, due: datetime) -> None:
        served.job, served.since, served.due, served.held = self.launch(served.one), due, due, False
        note = english("one run for all since {first:%Y-%m-%d %H:%M} UTC", first=first)
        self._tell(served, english("started"), "" if first == due else note, due=due)


def _turn(served: ScheduleState) -> tuple[datetime, str]:
    return served.one.table.after(served.since), served.one.name
