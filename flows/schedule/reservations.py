"""Reservations: each pipeline is served by one process."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from configs.errors import Problem, UserError
from flows.schedule.files import ScheduledPipeline
from tasks.store import lock
from tasks.workspace import Workspace


class Reservations:
    """The right to serve pipelines, one process each.

    Used as a context: it gives up what it holds at the end.
    """

    def __init__(self, workspace: Workspace, pipelines: Iterable[ScheduledPipeline] = ()) -> None:
        """Take the right to serve some.

        Raises:
            UserError: another process serves one of them.
        """
        self._locks = workspace.locks
        self._held: dict[str, ExitStack] = {}
        for one in pipelines:
            if not self.take(one):
                self.close()
                raise UserError(Problem(str(one.file), "another `onestep schedule` serves it"))

    def take(self, one: ScheduledPipeline) -> bool:
        """Take the right to serve one more; tell whether it was free."""
        with ExitStack() as stack:
            held = lock(self._locks / f"schedule-{one.name}.lock", wait=False)
            if not stack.enter_context(held):
                return False
            self._held[one.name] = stack.pop_all()
        return True

    def leave(self, one: ScheduledPipeline) -> None:
        """Give up the right to serve one."""
        self._held.pop(one.name).close()

    def close(self) -> None:
        """Give up all of them."""
        while self._held:
            self._held.popitem()[1].close()

    def __enter__(self) -> Reservations:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
