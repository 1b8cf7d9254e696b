"""Pipelines that are put into a served folder while their schedules are served."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from flows.run.reading import read
from flows.schedule.server import Scheduled, files_in, stamp
from tasks.errors import UserError


class Arrivals:
    """Looks through folders for files that are new, or changed and not served yet.

    The files of these folders are looked at again each time; one that says no more than when it was
    looked at last is passed over.

    Args:
        folders: where to look.
        reserve: takes the right to serve a pipeline, or says that another has it.
        complain: told what is wrong with a file, once for each of its states.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        reserve: Callable[[Scheduled], bool],
        complain: Callable[[Path, str], None],
    ) -> None:
        self.folders = list(folders)
        self.reserve = reserve
        self.complain = complain
        self._known: dict[Path, tuple[int, int]] = {}
        self._refused: set[Path] = set()

    def look(self, served: Iterable[Scheduled]) -> list[Scheduled]:
        """The pipelines that came since the last look and declare a schedule."""
        known = {one.file for one in served}
        fresh = [file for file in self._files() if file not in known and self._is_new(file)]
        return [one for file in fresh if (one := self._take_up(file)) is not None]

    def _files(self) -> list[Path]:
        return [file for folder in self.folders for file in files_in(folder)]

    def _is_new(self, file: Path) -> bool:
        before, self._known[file] = self._known.get(file), stamp(file)
        if before != self._known[file]:
            self._refused.discard(file)
            return True
        return file in self._refused

    def _take_up(self, file: Path) -> Scheduled | None:
        try:
            one = Scheduled(file, read(file, []), self._known[file])
        except UserError as error:
            self.complain(file, str(error))
            return None
        if not one.config.schedule.declared:
            return None
        if self.reserve(one):
            return one
        if file not in self._refused:
            self.complain(file, f"a schedule of the name {one.name!r} is served already")
        self._refused.add(file)
        return None
