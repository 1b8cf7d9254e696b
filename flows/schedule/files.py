"""Pipeline files that declare a schedule, watched folders, and the right to serve a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from configs.errors import ConfigError, Problem, UserError
from configs.language import _, english
from configs.schema import Pipeline
from flows.run.reading import read
from flows.schedule.timetable import Timetable
from tasks.store import lock
from tasks.workspace import Workspace

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
            other = _("{file} has the same name and a schedule, too", file=found[config.name].file)
            problems.append(Problem(f"{file}: name", other, _("give each a name of its own")))
        elif config.schedule.declared:
            found[config.name] = ScheduledPipeline(file, config, before)
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def none_yet(paths: Iterable[Path]) -> Problem:
    """The problem that nothing can be served."""
    where = ", ".join(map(str, paths))
    advice = _("for example `schedule: {interval: 6h}`")
    return Problem(where, _("no pipeline declares a schedule"), advice)


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
    for _turn in range(count):
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


class Reserve(Protocol):
    """The right to serve pipelines, one process each."""

    def take(self, one: ScheduledPipeline) -> bool:
        """Take the right to serve a pipeline; False if another process has it."""

    def leave(self, one: ScheduledPipeline) -> None:
        """Release the right."""


class Reservations:
    """Reservations in lock files, released at the end of a ``with`` block.

    Raises:
        UserError: another process serves one of the pipelines.
    """

    def __init__(self, workspace: Workspace, pipelines: Iterable[ScheduledPipeline] = ()) -> None:
        self._locks = workspace.locks
        self._held: dict[str, ExitStack] = {}
        for one in pipelines:
            if not self.take(one):
                self.close()
                raise UserError.at(one.file, _("another `onestep schedule` serves it"))

    def take(self, one: ScheduledPipeline) -> bool:
        with ExitStack() as stack:
            held = lock(self._locks / f"schedule-{one.name}.lock", wait=False)
            if not stack.enter_context(held):
                return False
            self._held[one.name] = stack.pop_all()
        return True

    def leave(self, one: ScheduledPipeline) -> None:
        self._held.pop(one.name).close()

    def close(self) -> None:
        """Release all of them."""
        while self._held:
            self._held.popitem()[1].close()

    def __enter__(self) -> Reservations:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Folders:
    """Finds new pipelines in folders, and takes the right to serve them.

    A file that has not changed since the last look is skipped, unless another process served a
    pipeline of that name. ``complain`` gets each file with its problem once, until it changes.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        reservations: Reserve,
        complain: Callable[[Path, str], None],
    ) -> None:
        self._folders = list(folders)
        self._reservations = reservations
        self._complain = complain
        self._known: dict[Path, tuple[int, int]] = {}
        self._refused: set[Path] = set()

    def arrivals(self, served: Iterable[ScheduledPipeline]) -> list[ScheduledPipeline]:
        """The pipelines that are new since the last look and declare a schedule."""
        known = {one.file for one in served}
        fresh = [file for file in self._files() if file not in known and self._is_new(file)]
        return [one for file in fresh if (one := self._reserve(file)) is not None]

    def leave(self, one: ScheduledPipeline) -> None:
        """Release the right to serve a pipeline."""
        self._reservations.leave(one)

    def _files(self) -> list[Path]:
        return [file for folder in self._folders for file in files_in(folder)]

    def _is_new(self, file: Path) -> bool:
        before, self._known[file] = self._known.get(file), stamp(file)
        if before != self._known[file]:
            self._refused.discard(file)
            return True
        return file in self._refused

    def _reserve(self, file: Path) -> ScheduledPipeline | None:
        try:
            one = ScheduledPipeline(file, read(file), self._known[file])
        except UserError as error:
            self._complain(file, str(error))
            return None
        if not one.config.schedule.declared:
            return None
        if self._reservations.take(one):
            return one
        if file not in self._refused:
            self._complain(
                file, english("a schedule of the name {name!r} is served already", name=one.name)
            )
        self._refused.add(file)
        return None
