"""A made-up clock, and runs that take made-up time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flows.schedule.files import ScheduledPipeline
from flows.schedule.server import Job, JobResult, ScheduleEvent

LOOK_AGAIN = timedelta(minutes=30)


class PowerCut(BaseException):
    """The machine goes down: nothing is written any more."""


@dataclass
class Clock:
    """Time passes only when somebody waits for it."""

    time: datetime
    cut: datetime | None = None
    waits: int = 0
    on_waiting: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        return self.time

    def wait(self, until: datetime | None, jobs: Sequence[Job]) -> None:
        self.waits += 1
        self.on_waiting()
        times = [job.end for job in jobs if isinstance(job, Run)]
        times += [time for time in (until or self.time + LOOK_AGAIN, self.cut) if time is not None]
        self.time = max(self.time, min(times))
        if self.cut is not None and self.time >= self.cut:
            raise PowerCut


@dataclass
class Run:
    """A run that ends at a time, and does its work then."""

    clock: Clock
    end: datetime
    work: Callable[[], JobResult]
    ended: JobResult | None = None
    stopped: bool = False

    def poll(self) -> JobResult | None:
        if self.ended is None and self.clock.now() >= self.end and not self.stopped:
            self.ended = self.work()
        return self.ended

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Diary:
    """What happened, line by line."""

    events: list[ScheduleEvent] = field(default_factory=list)

    def __call__(self, event: ScheduleEvent) -> None:
        self.events.append(event)

    def lines(self, *kinds: str) -> list[str]:
        """Time, what happened, and the note; of some kinds only, if any are named."""
        return [
            f"{event.at:%d %H:%M} {event.pipeline} {event.kind}"
            + (f" {event.due:%d %H:%M}" if event.due else "")
            for event in self.events
            if not kinds or event.kind in kinds
        ]


@dataclass
class Works:
    """Starts made-up runs.

    Attributes:
        clock: the time.
        minutes: how long the run of a pipeline takes, by name.
        work: what a run does when it ends.
    """

    clock: Clock
    minutes: Callable[[str], float]
    work: Callable[[str], JobResult]
    runs: list[Run] = field(default_factory=list)

    def __call__(self, one: ScheduledPipeline) -> Run:
        end = self.clock.now() + timedelta(minutes=self.minutes(one.name))
        self.runs.append(Run(self.clock, end, lambda: self.work(one.name)))
        return self.runs[-1]
