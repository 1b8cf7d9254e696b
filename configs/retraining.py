"""The ``schedule`` section: when the pipeline runs by itself."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from configs.section import Section

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
INTERVAL = re.compile(r"^([1-9]\d*)([smhdw])$")


class Retraining(Section):
    """When the pipeline runs by itself, and whether it then has anything to do."""

    cron: str | None = None
    """Five cron fields, for example `0 3 * * 1` for Mondays at three."""
    interval: str | None = None
    """Or a time between runs, such as `30m`, `6h`, `1d` or `2w`, counted from 1970-01-01 in UTC,
    so that a restart moves nothing."""
    timezone: str = "UTC"
    """The time zone of `cron`, as in the IANA database."""
    retrain_when: Literal["changed", "drift", "always"] = "changed"
    """What a scheduled run needs to train: rows or settings that no version has been made from,
    rows that have drifted from the champion's, or nothing."""
    overlap: Literal["skip", "coalesce"] = "skip"
    """What happens to runs that are due while one is going on: none follows, or one does. Runs
    that were missed while nothing served the schedule always become one."""
    jitter_minutes: Annotated[float, Field(ge=0)] = 0.0
    """Runs begin up to this much later, so that pipelines with one schedule do not begin at
    once."""

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if len(value.split()) != 5:
            raise ValueError("expected five cron fields: minute hour day month weekday")
        try:
            next(CronSim(value, datetime(2000, 1, 1)))
        except CronSimError as error:
            raise ValueError(f"expected valid cron fields, found a {str(error).lower()}") from None
        except StopIteration:
            raise ValueError("expected cron fields of a date that comes") from None
        return value

    @field_validator("interval")
    @classmethod
    def _valid_interval(cls, value: str | None) -> str | None:
        if value is not None and not INTERVAL.match(value):
            raise ValueError("expected a number and s, m, h, d or w, such as `6h`")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("expected a time zone of the IANA database, such as Europe/Paris")
        return ZoneInfo(value).key

    @model_validator(mode="after")
    def _one_of_two(self) -> Retraining:
        if self.cron is not None and self.interval is not None:
            raise ValueError("expected `cron` or `interval`, found both")
        return self

    @property
    def declared(self) -> bool:
        """Whether the pipeline has a schedule."""
        return self.cron is not None or self.interval is not None

    @property
    def every(self) -> timedelta | None:
        """The time between runs, if the schedule has one."""
        found = INTERVAL.match(self.interval or "")
        return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
