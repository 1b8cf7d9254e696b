"""Pipeline files that declare a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from configs.errors import ConfigError, Problem, UserError
from configs.schema import Pipeline
from flows.run.reading import read
from flows.schedule.timetable import Timetable

PATTERNS: Final = ("*.yaml", "*.yml")


@dataclass(frozen=True, slots=True)
class ScheduledPipeline:
    """A pipeline that declares a schedule, with the stamp of its file from before it was read."""

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


def find(paths: Iterable[Path]) -> list[ScheduledPipeline]:
    """The pipelines that declare a schedule in files and folders; may be none.

    Raises:
        ConfigError: with every problem of every file.
    """
    problems: list[Problem] = []
    found: dict[str, ScheduledPipeline] = {}
    for file in _files(paths):
        before = stamp(file)
        try:
            config = read(file)
        except UserError as error:
            problems += error.problems
            continue
        if config.schedule.declared and config.name in found:
            other = f"{found[config.name].file} has the same name and a schedule, too"
            problems.append(Problem(f"{file}: name", other, "give each a name of its own"))
        elif config.schedule.declared:
            found[config.name] = ScheduledPipeline(file, config, before)
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def none_yet(paths: Iterable[Path]) -> Problem:
    """The problem that nothing can be served."""
    where = ", ".join(map(str, paths))
    advice = "for example `schedule: {interval: 6h}`"
    return Problem(where, "no pipeline declares a schedule", advice)


def _files(paths: Iterable[Path]) -> list[Path]:
    found = [f for path in paths for f in (files_in(path) if path.is_dir() else [path])]
    return list({file.resolve(): file for file in found}.values())


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may be pipelines."""
    return sorted(file for pattern in PATTERNS for file in folder.glob(pattern))


def stamp(file: Path) -> tuple[int, int]:
    """Modification time and size of a file, which change with its content."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def next_runs(one: ScheduledPipeline, now: datetime, count: int) -> list[datetime]:
    """The next times at which a pipeline runs, in its own time zone."""
    times, moment = [], now
    zone = ZoneInfo(one.config.schedule.timezone)
    for _ in range(count):
        moment = one.table.after(moment)
        times.append(one.table.start(moment).astimezone(zone))
    return times


def listed(
    pipelines: Iterable[ScheduledPipeline], now: datetime, count: int
) -> list[dict[str, Any]]:
    """The pipelines and their next runs as JSON values."""
    return [
        {
            "pipeline": one.name,
            "file": str(one.file),
            "schedule": one.config.schedule.model_dump(mode="json"),
            "next": [time.isoformat() for time in next_runs(one, now, count)],
        }
        for one in pipelines
    ]
