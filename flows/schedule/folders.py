"""Folders that are watched while schedules are served: their pipelines come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from configs.errors import UserError
from flows.run.reading import read
from flows.schedule.files import ScheduledPipeline, files_in, stamp


class Reserve(Protocol):
    """The right to serve pipelines, one process each."""

    def take(self, one: ScheduledPipeline) -> bool:
        """Take the right to serve a pipeline; False if another process has it."""

    def leave(self, one: ScheduledPipeline) -> None:
        """Give up the right to serve a pipeline."""


class Folders:
    """Finds the pipelines that come into folders, and takes the right to serve them.

    A file whose content has not changed since the last look is passed over, unless its name was
    reserved by another process.

    Args:
        folders: where to look.
        reservations: which pipelines this process serves.
        complain: called with what is wrong with a file, once for each of its states.
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
        """The pipelines that came since the last look and declare a schedule."""
        known = {one.file for one in served}
        fresh = [file for file in self._files() if file not in known and self._is_new(file)]
        return [one for file in fresh if (one := self._reserve(file)) is not None]

    def leave(self, one: ScheduledPipeline) -> None:
        """Give up the right to serve a pipeline."""
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
            self._complain(file, f"a schedule of the name {one.name!r} is served already")
        self._refused.add(file)
        return None
