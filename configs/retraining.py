"""The ``schedule`` section: when the pipeline runs by itself."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from configs.language import english
from configs.values import Section

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
INTERVAL = re.compile(r"([1-9][0-9]*)([smhdw])")
LONGEST = timedelta(days=3650)
DIGITS = 9
"""More digits than those of the longest interval in seconds."""


class Retraining(Section):
    """When the pipeline runs by itself, and on which condition it trains then."""

    cron: str | None = None
    """Five cron fields, for example `0 3 * * 1` for Mondays at three."""
    interval: str | None = None
    """Or a time between runs, such as `30m`, `6h`, `1d` or `2w`, counted from 1970-01-01 in UTC,
    so that a restart does not move the times."""
    timezone: str = "UTC"
    """The time zone of `cron`, as in the IANA database."""
    retrain_when: Literal["changed", "drift", "always"] = "changed"
    """Condition on which a scheduled run trains. `changed`: no version was trained on these rows
    and settings; `drift`: the rows have drifted from the champion's; `always`: none."""
    overlap: Literal["skip", "coalesce"] = "skip"
    """What happens to runs that are due during a run: `skip` drops them, `coalesce` makes one run
    of them. Runs that were missed while no server was running always become one."""
    jitter_minutes: Annotated[float, Field(ge=0, le=10_080)] = 0.0
    """Longest random delay of a run, so that pipelines with the same schedule start at different
    times."""

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if len(value.split()) != 5:
            raise ValueError(english("expected five cron fields: minute hour day month weekday"))
        try:
            next(CronSim(value, datetime(2000, 1, 1)))
        except CronSimError as error:
            raise ValueError(
                english("expected valid cron fields: {error}", error=str(error).lower())
            ) from None
        except StopIteration:
            raise ValueError(english("this cron expression never fires")) from None
        return value

    @field_validator("interval")
    @classmethod
    def _valid_interval(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if not (found := INTERVAL.fullmatch(value)):
            raise ValueError(english("expected a number and s, m, h, d or w, such as `6h`"))
        if len(found[1]) > DIGITS or timedelta(**{UNITS[found[2]]: int(found[1])}) > LONGEST:
            raise ValueError(english("expected a time of at most {days}d", days=LONGEST.days))
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(
                english("expected a time zone of the IANA database, such as Europe/Paris")
            )
        return ZoneInfo(value).key

    @model_validator(mode="after")
    def _one_of_two(self) -> Retraining:
        if self.cron is not None and self.interval is not None:
            raise ValueError(english("expected `cron` or `interval`, found both"))
        return self

    @property
    def declared(self) -> bool:
        """Whether the pipeline has a schedule."""
        return self.cron is not None or self.interval is not None

    @property
    def every(self) -> timedelta | None:
        """The time between runs, if the schedule has one."""
        found = INTERVAL.fullmatch(self.interval or "")
        return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
