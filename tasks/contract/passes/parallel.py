"""The first pass over all files: in this process, or by blocks in several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from configs.errors import DataError
from configs.schema import Pipeline
from tasks import cores
from tasks.contract.passes import processes, screening
from tasks.contract.passes.screening import PartResult, Task
from tasks.contract.rows.layout import Layout
from tasks.contract.sources import base, splits
from tasks.contract.sources.splits import Part, Sources

BLOCK_BYTES: Final = base.BLOCK_BYTES
PARALLEL_BYTES: Final = 4 * BLOCK_BYTES
"""Size from which several processes are faster, though each has to load its libraries first."""


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
    if sum(part.source.size() for part in splits.parts(sources)) < PARALLEL_BYTES:
        return 1
    return min(config.compute.threads or cores.available(), cores.available())


def screen_all(
    config: Pipeline, layout: Layout, sources: Sources, folders: Folders, count: int
) -> list[PartResult]:
    """Judge every row of every file, in the order of the files, in ``count`` processes.

    Raises:
        DataError: files that cannot be read.
    """
    whole = splits.parts(sources)
    if count < 2:
        tasks = [_task(config, layout, folders, part, n) for n, part in enumerate(whole)]
        return [screening.check_part(task) for task in tasks]
    pieces = [piece for part in whole for piece in _pieces(part)]
    tasks = [_task(config, layout, folders, piece, n) for n, piece in enumerate(pieces)]
    try:
        return processes.run(screening.check_part, tasks, count)
    except DataError:
        # From the beginning, to name the line in the file rather than in the block.
        return screen_all(config, layout, sources, folders, 1)


def _task(config: Pipeline, layout: Layout, folders: Folders, part: Part, number: int) -> Task:
    spool = folders.spool / f"{number:06}.arrow"
    refused = folders.refused / f"{number:06}.jsonl"
    return Task(config, layout, part, spool, refused, folders.fixes)


def _pieces(part: Part) -> list[Part]:
    blocks = part.source.blocks(BLOCK_BYTES)
    return [replace(part, block=block) for block in blocks] or [part]
