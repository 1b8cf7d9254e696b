"""Serve the schedules of several pipelines: one loop, a process for each run.

The loop is our own, for the reasons in :mod:`flows.schedule.timetable`; the runs are Prefect
runs. What is due is remembered in one file per pipeline, written when a run has ended: if this
process or the machine dies, the run that was due is due again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from configs.retraining import Retraining
from configs.schema import Pipeline
from flows.run.reading import read
from flows.schedule.timetable import Timetable, decide
from tasks.errors import ConfigError, Problem, UserError
from tasks.store import read_json, write_json

PATTERNS: Final = ("*.yaml", "*.yml")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code: exit code; 0 also if there was nothing to do.
        note: one line for people.
        record: what ``onestep retrain --json`` printed.
    """

    code: int
    note: str
    record: dict[str, Any] = field(default_factory=dict)


class Job(Protocol):
    """A run that was started."""

    def poll(self) -> Ended | None:
        """How it ended; None while it goes on."""

    def stop(self) -> None:
        """End it and everything that it started."""


class Clock(Protocol):
    """The time, which a test may make up."""

    def now(self) -> datetime:
        """The present, in UTC."""

    def wait(self, until: datetime | None, jobs: Sequence[Job]) -> None:
        """Return at a time, when a job ends, or earlier."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a pipeline.

    Attributes:
        kind: ``started``, ``ended``, ``failed``, ``skipped``, ``held``, ``changed``, ``added`` or
            ``removed``.
        pipeline: its name.
        at: when.
        note: one line for people.
        due: the due time that it is about.
        record: what the run says of itself.
    """

    kind: str
    pipeline: str
    at: datetime
    note: str = ""
    due: datetime | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON values, for ``onestep schedule --json``."""
        due = self.due.isoformat() if self.due else None
        return {
            "event": self.kind,
            "pipeline": self.pipeline,
            "at": self.at.isoformat(),
            "due": due,
            "note": self.note,
            "run": self.record,
        }


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A pipeline that declares a schedule.

    Attributes:
        file: of the pipeline.
        config: what it said.
        stamp: of the file, from before it was read.
    """

    file: Path
    config: Pipeline
    stamp: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.config.name

    @property
    def table(self) -> Timetable:
        """Its due times."""
        return Timetable(self.config.schedule, self.name)


def find(paths: Iterable[Path]) -> list[Scheduled]:
    """The pipelines that declare a schedule, in the given files and folders; perhaps none.

    Raises:
        ConfigError: with every problem of every file.
    """
    problems: list[Problem] = []
    found: dict[str, Scheduled] = {}
    for file in _files(paths):
        before = stamp(file)
        try:
            config = read(file, [])
        except UserError as error:
            problems += error.problems
            continue
        if config.schedule.declared and config.name in found:
            other = f"{found[config.name].file} has the same name and a schedule, too"
            problems.append(Problem(f"{file}: name", other, "give each a name of its own"))
        elif config.schedule.declared:
            found[config.name] = Scheduled(file, config, before)
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def none_yet(paths: Iterable[Path]) -> Problem:
    """That there is nothing to serve."""
    where = ", ".join(map(str, paths))
    advice = "for example `schedule: {interval: 6h}`"
    return Problem(where, "no pipeline declares a schedule", advice)


def _files(paths: Iterable[Path]) -> list[Path]:
    found = [f for path in paths for f in (files_in(path) if path.is_dir() else [path])]
    return list({file.resolve(): file for file in found}.values())


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may be pipelines."""
    return sorted(file for pattern in PATTERNS for file in folder.glob(pattern))


class Memory:
    """Until when each pipeline has been dealt with, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recall(self, one: Scheduled, now: datetime) -> datetime:
        """What is remembered; from now on if nothing is, or of another schedule."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = read_json(self._path(one.name))
            if known["schedule"] == _when(one.config.schedule):
                return datetime.fromisoformat(known["since"])
        return now

    def remember(self, one: Scheduled, since: datetime) -> None:
        """Write it down."""
        record = {"since": since.isoformat(), "schedule": _when(one.config.schedule)}
        write_json(self._path(one.name), record)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _when(schedule: Retraining) -> dict[str, Any]:
    """What decides the due times."""
    return schedule.model_dump(mode="json", include={"cron", "interval", "timezone"})


class Line:
    """A pipeline that is served.

    Attributes:
        one: its file as it was last read.
        since: everything that was due until then has been dealt with.
        job: the run that goes on.
        due: what the run is for.
        held: whether it was said that another run follows.
    """

    def __init__(self, one: Scheduled, since: datetime) -> None:
        self.one = one
        self.since = since
        self.job: Job | None = None
        self.due: datetime | None = None
        self.held = False
        self.stamp = one.stamp


def stamp(file: Path) -> tuple[int, int]:
    """What changes with the content of a file, as far as the file system tells."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


class Server:
    """Serves schedules until it is interrupted.

    Args:
        pipelines: what to serve.
        memory: where due times are remembered.
        launch: starts a run of a pipeline.
        clock: the time.
        tell: told of everything that happens.
        at_once: how many runs may go on at the same time.
        arrivals: tells which pipelines have come since it was last asked, given those that are
            served.
        leave: gives up the right to serve a pipeline.
    """

    def __init__(
        self,
        pipelines: Iterable[Scheduled],
        memory: Memory,
        launch: Callable[[Scheduled], Job],
        clock: Clock,
        tell: Callable[[Event], None],
        *,
        at_once: int = 1,
        arrivals: Callable[[Iterable[Scheduled]], list[Scheduled]] = lambda _: [],
        leave: Callable[[Scheduled], None] = lambda _: None,
    ) -> None:
        self.memory = memory
        self.launch = launch
        self.clock = clock
        self.tell = tell
        self.at_once = at_once
        self.arrivals = arrivals
        self.leave = leave
        self.lines = [self._line(one) for one in pipelines]

    def serve(self) -> None:
        """Serve for ever; what goes on is ended when an exception comes."""
        try:
            while True:
                until = self.turn()
                self.clock.wait(until, self._jobs())
        finally:
            for job in self._jobs():
                job.stop()

    def turn(self) -> datetime | None:
        """Do what is to be done now; return when to look again, at the latest."""
        for line in self.lines:
            self._collect(line)
        self._drop_lost()
        for line in self.lines:
            self._read_again(line)
        for one in self.arrivals([line.one for line in self.lines]):
            self.lines.append(self._line(one))
            self._tell(self.lines[-1], "added", f"it is served from {one.file}")
        times = [self._take(line) for line in sorted(self.lines, key=_turn)]
        return min((time for time in times if time is not None), default=None)

    def _line(self, one: Scheduled) -> Line:
        line = Line(one, self.memory.recall(one, self.clock.now()))
        self.memory.remember(one, line.since)
        return line

    def _jobs(self) -> list[Job]:
        return [line.job for line in self.lines if line.job is not None]

    def _tell(self, line: Line, kind: str, note: str = "", **more: Any) -> None:
        self.tell(Event(kind, line.one.name, self.clock.now(), note, **more))

    def _collect(self, line: Line) -> None:
        """Report a run that has ended, and remember that."""
        if line.job is None or (ended := line.job.poll()) is None:
            return
        line.job = None
        self.memory.remember(line.one, line.since)
        kind = "failed" if ended.code else "ended"
        self._tell(line, kind, ended.note, due=line.due, record=ended.record)

    def _drop_lost(self) -> None:
        """Serve no pipeline any more whose file is gone; it may come back under another name."""
        for line in [one for one in self.lines if one.job is None and not one.one.file.exists()]:
            self.lines.remove(line)
            self.leave(line.one)
            self._tell(line, "removed", f"{line.one.file} is gone")

    def _read_again(self, line: Line) -> None:
        """Follow changes of the file; one that cannot be read keeps the schedule that it had."""
        if (now := stamp(line.one.file)) == line.stamp or line.job is not None:
            return
        line.stamp = now
        try:
            config = read(line.one.file, [])
        except UserError as error:
            self._tell(line, "failed", str(error))
            return
        if config.name != line.one.name or not config.schedule.declared:
            self._tell(
                line, "failed", "its name or schedule is gone; start `onestep schedule` anew"
            )
            return
        before, line.one = line.one, Scheduled(line.one.file, config, now)
        if _when(before.config.schedule) != _when(config.schedule):
            line.since = self.clock.now()
            self.memory.remember(line.one, line.since)
            self._tell(line, "changed", "its schedule was changed")

    def _take(self, line: Line) -> datetime | None:
        """Take the step that a pipeline is due for; return when to look at it again."""
        now, running = self.clock.now(), line.job is not None
        step = decide(line.one.table, line.since, now, running=running)
        if step.action == "run" and len(self._jobs()) < self.at_once:
            self._start(line, step.first, step.due)
            return self._take(line)
        if step.action == "skip":
            line.since = step.due
            self._tell(line, "skipped", "the run before it goes on", due=step.due)
            return self._take(line)
        if step.action == "hold" and not line.held:
            line.held = True
            self._tell(line, "held", "it follows the run that goes on", due=step.due)
        return step.until

    def _start(self, line: Line, first: datetime, due: datetime) -> None:
        line.job, line.since, line.due, line.held = self.launch(line.one), due, due, False
        note = "" if first == due else f"one run for all since {first:%Y-%m-%d %H:%M} UTC"
        self._tell(line, "started", note, due=due)


def _turn(line: Line) -> tuple[datetime, str]:
    return line.one.table.after(line.since), line.one.name


def next_runs(one: Scheduled, now: datetime, count: int) -> list[datetime]:
    """The next times at which a pipeline runs, in its own time zone."""
    times, moment = [], now
    zone = ZoneInfo(one.config.schedule.timezone)
    for _ in range(count):
        moment = one.table.after(moment)
        times.append(one.table.start(moment).astimezone(zone))
    return times


def listed(pipelines: Iterable[Scheduled], now: datetime, count: int) -> list[dict[str, Any]]:
    """What is served and when it runs next, as JSON values."""
    return [
        {
            "pipeline": one.name,
            "file": str(one.file),
            "schedule": one.config.schedule.model_dump(mode="json"),
            "next": [time.isoformat() for time in next_runs(one, now, count)],
        }
        for one in pipelines
    ]
