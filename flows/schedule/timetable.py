"""When a pipeline is due, and the next step for it. Pure: it reads no clock and starts nothing.

Prefect's own schedules are not used. After an outage they run every late run, the oldest first; a
worker that dies with a run pending keeps its concurrency limit for ever; and a run that is due
during another is queued or cancelled, but never merged with the next. Here a pipeline has one time,
until which it was served, and everything that is due since then is one run.
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
    """The due times of one pipeline, in UTC; its name and the due time determine the jitter."""

    schedule: Retraining
    name: str

    def after(self, moment: datetime) -> datetime:
        """The first due time after a moment.

        A local time that daylight saving time skips is due at the end of the skipped hour; one that
        comes twice is due the first time.
        """
        if (every := self.schedule.every) is not None:
            return EPOCH + ((moment - EPOCH) // every + 1) * every
        return next(CronSim(self._cron, self._local(moment))).astimezone(UTC)

    def latest(self, moment: datetime) -> datetime:
        """The last due time up to a moment, the moment included."""
        if (every := self.schedule.every) is not None:
            return EPOCH + ((moment - EPOCH) // every) * every
        # Backwards, cronsim starts before the moment, unless that has a fraction of a second.
        local = self._local(moment.replace(microsecond=0) + TICK)
        return next(CronSim(self._cron, local, reverse=True)).astimezone(UTC)

    def start(self, due: datetime) -> datetime:
        """The start of a due run: up to the jitter later, the same for each call."""
        share = int(digest([self.name, due.isoformat()])[:8], 16) / 2**32
        return due + share * self.jitter

    @property
    def jitter(self) -> timedelta:
        """The longest delay of a start."""
        return timedelta(minutes=self.schedule.jitter_minutes)

    @property
    def _cron(self) -> str:
        assert self.schedule.cron is not None
        return self.schedule.cron

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.schedule.timezone))


@dataclass(frozen=True, slots=True)
class Step:
    """The next step for a pipeline.

    Attributes:
        action: ``wait`` until a run is due; ``run`` now; during another run, ``skip`` the due run,
            or ``hold`` it until the other has ended.
        first: the earliest due time that was not served.
        due: the latest due time that the action covers.
        until: when to decide again; None if only the end of the run can change anything.
    """

    action: Action
    first: datetime
    due: datetime
    until: datetime | None


def decide(table: Timetable, since: datetime, now: datetime, *, running: bool) -> Step:
    """The next step for a pipeline that was served until ``since``, and may be running."""
    first = table.after(since)
    start = table.start(first)
    if start > now:
        return Step("wait", first, first, start)
    if not running:
        # All missed runs are one.
        return Step("run", first, table.latest(now), None)
    if table.schedule.overlap == "coalesce":
        return Step("hold", first, table.latest(now), None)
    # The latest run that is due and, with its jitter, would have started.
    return Step("skip", first, max(first, table.latest(now - table.jitter)), None)
