"""When runs are due, and what is done about them, over a month by a clock that the test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from configs.retraining import Retraining
from flows.schedule.timetable import Timetable, decide

PARIS = ZoneInfo("Europe/Paris")
CRONS = ("0 3 * * *", "30 2 * * *", "*/20 * * * *", "15 0,2 * * 1-5", "0 6 1 * *")


def table(**settings: object) -> Timetable:
    return Timetable(Retraining.model_validate(settings), "reviews")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_times(times: Timetable, start: datetime, end: datetime) -> list[datetime]:
    found, moment = [], start
    while (moment := times.after(moment)) <= end:
        found.append(moment)
    return found


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        # 02:30 does not exist on 29 March: the run comes when the clock has been put forward.
        ("30 2 * * *", "2026-03-28T00:00", ["28 02:30", "29 03:00", "30 02:30"]),
        ("0 3 * * *", "2026-03-28T00:00", ["28 03:00", "29 03:00", "30 03:00"]),
        # 02:30 comes twice on 25 October: the run comes once.
        ("30 2 * * *", "2026-10-24T00:00", ["24 02:30", "25 02:30", "26 02:30"]),
        ("0 3 * * *", "2026-10-24T00:00", ["24 03:00", "25 03:00", "26 03:00"]),
    ],
)
def test_a_daily_run_comes_once_a_day_when_clocks_change(
    cron: str, start: str, expected: list[str]
) -> None:
    begin = datetime.fromisoformat(start).replace(tzinfo=PARIS).astimezone(UTC)
    times = due_times(table(cron=cron, timezone="Europe/Paris"), begin, begin + timedelta(3))
    assert [f"{time.astimezone(PARIS):%d %H:%M}" for time in times] == expected


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_an_hourly_run_keeps_coming_when_clocks_change(day: str) -> None:
    begin = utc(f"{day}T00:30") - timedelta(hours=12)
    times = due_times(table(cron="0 * * * *", timezone="Europe/Paris"), begin, begin + timedelta(1))
    assert {b - a for a, b in pairwise(times)} == {timedelta(hours=1)}


@settings(max_examples=60)
@given(
    st.sampled_from([*({"cron": c} for c in CRONS), {"interval": "7h"}, {"interval": "1d"}]),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)),
)
def test_backwards_and_forwards_agree(
    settings: dict[str, str], zone: str, moment: datetime
) -> None:
    times = table(**settings, timezone=zone)
    moment = moment.replace(tzinfo=UTC)
    latest, following = times.latest(moment), times.after(moment)
    assert latest <= moment < following
    assert times.after(latest) == following
    assert times.latest(latest) == latest
    assert times.latest(following - timedelta(microseconds=1)) == latest


def test_an_interval_does_not_depend_on_when_serving_began() -> None:
    times = table(interval="6h")
    assert times.after(utc("2026-05-01T07:13")) == utc("2026-05-01T12:00")
    assert times.after(utc("2026-05-01T12:00")) == utc("2026-05-01T18:00")


def test_jitter_is_bounded_repeatable_and_differs_between_pipelines() -> None:
    settings = Retraining(cron="0 3 * * *", jitter_minutes=30)
    one, other = Timetable(settings, "reviews"), Timetable(settings, "tickets")
    days = due_times(one, utc("2026-05-01T00:00"), utc("2026-06-30T00:00"))
    late = [(one.start(day) - day) / timedelta(minutes=1) for day in days]
    assert all(0 <= minutes <= 30 for minutes in late)
    assert max(late) - min(late) > 20
    assert [one.start(day) for day in days] == [
        Timetable(settings, "reviews").start(d) for d in days
    ]
    assert all(one.start(day) != other.start(day) for day in days)


def test_steps_of_one_pipeline() -> None:
    times = table(interval="1h")
    since = utc("2026-05-01T10:00")
    wait = decide(times, since, utc("2026-05-01T10:59"), running=False)
    assert (wait.action, wait.until) == ("wait", utc("2026-05-01T11:00"))
    run = decide(times, since, utc("2026-05-01T11:00"), running=False)
    assert (run.action, run.first, run.due) == ("run", *[utc("2026-05-01T11:00")] * 2)
    missed = decide(times, since, utc("2026-05-09T15:20"), running=False)
    assert (missed.action, missed.due) == ("run", utc("2026-05-09T15:00"))
    skip = decide(times, since, utc("2026-05-01T11:00"), running=True)
    assert (skip.action, skip.due) == ("skip", utc("2026-05-01T11:00"))
    hold = decide(
        table(interval="1h", overlap="coalesce"), since, utc("2026-05-01T13:30"), running=True
    )
    assert (hold.action, hold.due) == ("hold", utc("2026-05-01T13:00"))


def test_a_jitter_longer_than_the_interval_starves_nobody() -> None:
    times = table(interval="10m", jitter_minutes=60)
    since = now = utc("2026-05-01T00:00")
    runs = 0
    for _ in range(24 * 60):
        now += timedelta(minutes=1)
        step = decide(times, since, now, running=False)
        if step.action == "run":
            since, runs = step.due, runs + 1
    assert runs > 24


def test_only_what_would_have_begun_is_skipped() -> None:
    times = table(interval="10m", jitter_minutes=60)
    since = utc("2026-05-01T00:00")
    now = utc("2026-05-01T03:00")
    step = decide(times, since, now, running=True)
    assert step.action == "skip"
    assert step.first < step.due
    assert all(times.start(due) <= now for due in due_times(times, since, step.due))


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "61 * * * *", "* * * *"])
def test_a_cron_that_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError, match="cron"):
        Retraining(cron=cron)
