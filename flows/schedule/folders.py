"""Folders that are watched for new pipelines, and the right to serve a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from configs.errors import Problem, UserError
from flows.run.reading import read
from flows.schedule.files import ScheduledPipeline, files_in, stamp
from tasks.store import lock
from tasks.workspace import Workspace


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
                raise UserError(Problem(str(one.file), "another `onestep schedule` serves it"))

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
            self._complain(file, f"a schedule of the name {one.name!r} is served already")
        self._refused.add(file)
        return None
