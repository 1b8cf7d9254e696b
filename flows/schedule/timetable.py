"""When a pipeline is due, and what to do about it now. Pure: it knows no clock and starts nothing.

Prefect's own schedules are not used for this. After an outage they run every late run, the oldest
first; a worker that dies with a run pending keeps its concurrency limit for ever; and a run that
is due while one goes on is queued or cancelled, but never merged with the next. Here a pipeline
has one number, until when it has been dealt with, and everything that is due since then is one
run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim

from configs.retraining import Retraining
from tasks.store import digest

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)
Action = Literal["wait", "run", "skip", "hold"]


@dataclass(frozen=True, slots=True)
class Timetable:
    """The due times of one pipeline, in UTC.

    Attributes:
        schedule: its section.
        name: decides the jitter, together with the due time.
    """

    schedule: Retraining
    name: str

    def after(self, moment: datetime) -> datetime:
        """The first due time after a moment.

        A local time that a change to daylight saving time leaves out is due when it would have
        been over; one that comes twice is due the first time.
        """
        if (every := self.schedule.every) is not None:
            return EPOCH + ((moment - EPOCH) // every + 1) * every
        return next(CronSim(self._cron, self._local(moment))).astimezone(UTC)

    def latest(self, moment: datetime) -> datetime:
        """The last due time until a moment, the moment included."""
        if (every := self.schedule.every) is not None:
            return EPOCH + ((moment - EPOCH) // every) * every
        # Backwards it begins before the moment, unless that is within a second.
        local = self._local(moment.replace(microsecond=0) + TICK)
        return next(CronSim(self._cron, local, reverse=True)).astimezone(UTC)

    def start(self, due: datetime) -> datetime:
        """When a due run begins: up to the jitter later, always the same for one due time."""
        share = int(digest([self.name, due.isoformat()])[:8], 16) / 2**32
        return due + share * self.jitter

    @property
    def jitter(self) -> timedelta:
        """The longest that a run begins late on purpose."""
        return timedelta(minutes=self.schedule.jitter_minutes)

    @property
    def _cron(self) -> str:
        assert self.schedule.cron is not None
        return self.schedule.cron

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.schedule.timezone))


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about a pipeline.

    Attributes:
        action: ``wait`` until something is due; ``run`` now; ``skip`` what is due, because a run
            goes on; or ``hold`` it until that run has ended.
        first: the earliest due time that has not been dealt with.
        due: the latest due time that the action stands for.
        until: when to look again; None if only the end of the run can change anything.
    """

    action: Action
    first: datetime
    due: datetime
    until: datetime | None


def decide(table: Timetable, since: datetime, now: datetime, *, running: bool) -> Step:
    """Say what is to be done about a pipeline now.

    Args:
        table: its due times.
        since: everything that was due until then has been dealt with.
        now: the present.
        running: whether a run of it goes on.
    """
    first = table.after(since)
    start = table.start(first)
    if start > now:
        return Step("wait", first, first, start)
    if not running:
        # However many were missed, they are one run.
        return Step("run", first, table.latest(now), None)
    if table.schedule.overlap == "coalesce":
        return Step("hold", first, table.latest(now), None)
    # What is due and whose time to begin has come, too.
    return Step("skip", first, max(first, table.latest(now - table.jitter)), None)
