"""Several processes for one pass over large data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> list[Result]:
    """Do all tasks, each in one of several processes, and return the results in order.

    The processes are spawned, since a copy of a process with threads may hold locks that nobody
    releases.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(work, tasks))
