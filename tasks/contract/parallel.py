"""The first pass over all files: in this process, or by blocks in several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from configs.schema import Pipeline
from tasks.contract import blocks, frames, screening
from tasks.contract.frames import Layout, Part, Sources
from tasks.contract.screening import Screened, Task
from tasks.errors import DataError

WORTH_IT: Final = 4 * blocks.SIZE
"""Bytes from which several processes are faster, though each has to load its libraries first."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the first pass writes.

    Attributes:
        spool: valid rows.
        refused: refused rows, below the quarantine's folder.
        fixes: file with repaired rows.
    """

    spool: Path
    refused: Path
    fixes: Path


def screen_all(
    config: Pipeline, layout: Layout, sources: Sources, folders: Folders
) -> list[Screened]:
    """Judge every row of every file, in the order of the files.

    Raises:
        DataError: files that cannot be read.
    """
    whole = frames.parts(sources)
    processes = min(config.compute.threads or _cores(), _cores())
    if sources.hub is not None or processes < 2 or _size(whole) < WORTH_IT:
        return [
            screening.screen(_task(config, layout, folders, part, n), sources)
            for n, part in enumerate(whole)
        ]
    return list(_in_processes(config, layout, folders, whole, processes))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(parts: list[Part]) -> int:
    return sum(os.path.getsize(part.file) for part in parts)


def _task(config: Pipeline, layout: Layout, folders: Folders, part: Part, number: int) -> Task:
    spool = folders.spool / f"{number:06}.arrow"
    refused = folders.refused / f"{number:06}.jsonl"
    return Task(config, layout, part, spool, refused, folders.fixes)


def _in_processes(
    config: Pipeline, layout: Layout, folders: Folders, whole: list[Part], processes: int
) -> Iterator[Screened]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    number = 0
    # Spawned, since a copy of a process with threads may hold locks that nobody releases.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        pending: list[tuple[Part, list[Any]]] = []
        for part in whole:
            jobs = []
            for piece in _pieces(part, config):
                jobs.append(
                    pool.submit(screening.screen, _task(config, layout, folders, piece, number))
                )
                number += 1
            pending.append((part, jobs))
        for part, jobs in pending:
            try:
                yield from [job.result() for job in jobs]
            except DataError:
                # From the beginning, to name the line in the file rather than in the block.
                yield screening.screen(_task(config, layout, folders, part, number))
                number += 1


def _pieces(part: Part, config: Pipeline) -> list[Part]:
    cut = blocks.cut(Path(part.file), quotes=config.data.quotes)
    return [replace(part, block=block) for block in cut] or [part]
