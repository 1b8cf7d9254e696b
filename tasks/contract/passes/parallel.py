"""The first pass over all files: in this process, or by blocks in several."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from configs.errors import DataError
from configs.schema import Pipeline
from tasks import cores
from tasks.contract.passes import processes, screening
from tasks.contract.passes.screening import Screened, Task
from tasks.contract.sources import blocks, frames
from tasks.contract.sources.frames import Layout, Part, Sources

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


def workers(config: Pipeline, sources: Sources) -> int:
    """Processes that are worth their start for the declared files."""
    files = [part.file for part in frames.parts(sources)]
    if sources.hub is not None or sum(map(os.path.getsize, files)) < WORTH_IT:
        return 1
    return min(config.compute.threads or cores.available(), cores.available())


def screen_all(
    config: Pipeline, layout: Layout, sources: Sources, folders: Folders, count: int
) -> list[Screened]:
    """Judge every row of every file, in the order of the files, in ``count`` processes.

    Raises:
        DataError: files that cannot be read.
    """
    whole = frames.parts(sources)
    if count < 2:
        tasks = [_task(config, layout, folders, part, n) for n, part in enumerate(whole)]
        return [screening.screen(task, sources) for task in tasks]
    pieces = [piece for part in whole for piece in _pieces(part, config)]
    tasks = [_task(config, layout, folders, piece, n) for n, piece in enumerate(pieces)]
    try:
        return processes.run(screening.screen, tasks, count)
    except DataError:
        # From the beginning, to name the line in the file rather than in the block.
        return screen_all(config, layout, sources, folders, 1)


def _task(config: Pipeline, layout: Layout, folders: Folders, part: Part, number: int) -> Task:
    spool = folders.spool / f"{number:06}.arrow"
    refused = folders.refused / f"{number:06}.jsonl"
    return Task(config, layout, part, spool, refused, folders.fixes)


def _pieces(part: Part, config: Pipeline) -> list[Part]:
    cut = blocks.cut(Path(part.file), quotes=config.data.quotes)
    return [replace(part, block=block) for block in cut] or [part]
