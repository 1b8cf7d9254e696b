"""The first pass over all sources: check each part, in this process or in several, and join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from configs.errors import DataError
from configs.schema import Pipeline
from tasks import cores
from tasks.contract.passes import misread_values, row_checks
from tasks.contract.passes.row_checks import PartResult, Task
from tasks.contract.rows import catalogue, quarantine
from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rows.layout import Layout
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules.findings import Findings
from tasks.contract.sources import base, splits
from tasks.contract.sources.splits import Part, Sources

BLOCK_BYTES: Final = base.BLOCK_BYTES
PARALLEL_BYTES: Final = 4 * BLOCK_BYTES
"""Size from which several processes are faster, though each has to load its libraries first."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the first pass writes valid rows, and rejected ones below the quarantine's folder.

    The file ``fixes`` has repaired rows.
    """

    spool: Path
    rejected: Path
    fixes: Path


@dataclass(frozen=True)
class FirstPassResult:
    """All rows after the checks of single rows.

    Attributes:
        parts: results of the parts, in the order of the sources.
        offsets: for each part, the rows of its source before its block.
        rows: the valid rows, in their declared splits.
        spool: the values of the valid rows.
        findings: what each rule found.
    """

    layout: Layout
    parts: Sequence[PartResult]
    offsets: Sequence[int]
    rows: Catalogue
    spool: SpoolReader
    findings: Findings

    @property
    def total(self) -> int:
        """Rows read, also those that cannot be parsed."""
        return sum(part.rows for part in self.parts)

    @property
    def empty(self) -> int:
        """Rows without any value, which are left out."""
        return self.empty_by_split.total()

    @property
    def changed(self) -> Counter[str]:
        """How many rows were repaired, and how many redacted."""
        return sum((part.changed for part in self.parts), Counter())

    @property
    def window_kinds(self) -> set[str]:
        """Whether the column of the window holds dates, numbers or both."""
        return set().union(*(part.window_kinds for part in self.parts))

    @property
    def rejected_by_split(self) -> Counter[str]:
        """Rejected rows by declared split."""
        return self._by_split(part.rejected for part in self.parts)

    @property
    def empty_by_split(self) -> Counter[str]:
        """Rows without any value by declared split."""
        return self._by_split(part.empty for part in self.parts)

    def _by_split(self, counts: Iterable[int]) -> Counter[str]:
        """The sums, by declared split, of a count of each part."""
        sums: Counter[str] = Counter()
        for part, count in zip(self.parts, counts, strict=True):
            sums[part.task.part.split] += count
        return sums

    def records(self) -> Iterator[quarantine.Record]:
        """Rejected rows, with reasons; and the originals of changed rows, without."""
        for part, offset in zip(self.parts, self.offsets, strict=True):
            for entry in quarantine.read(part.task.rejected):
                yield entry | {"row": entry["row"] + offset}


def count_workers(config: Pipeline, sources: Sources) -> int:
    """Processes that are worth their start for the declared sources."""
    if sum(part.source.size() for part in splits.parts(sources)) < PARALLEL_BYTES:
        return 1
    return min(config.compute.threads or cores.available(), cores.available())


def check_rows(
    config: Pipeline, layout: Layout, sources: Sources, folders: Folders, workers: int
) -> FirstPassResult:
    """Check every row of every source by itself, in ``workers`` processes.

    Raises:
        DataError: sources that cannot be read, or whose values are surely or maybe misread.
    """
    whole = splits.parts(sources)
    divided = whole if workers < 2 else [piece for part in whole for piece in _divide(part)]
    tasks = [_task(config, layout, folders, part, number) for number, part in enumerate(divided)]
    try:
        parts = run_in_processes(row_checks.check_part, tasks, workers)
    except DataError:
        if workers < 2:
            raise
        # Once more from the beginning, to name the line in the file rather than in the block.
        return check_rows(config, layout, sources, folders, 1)
    misread_values.require_one_reading(config, layout, parts)
    return join(layout, parts)


def _divide(part: Part) -> list[Part]:
    return [replace(part, block=block) for block in part.source.blocks(BLOCK_BYTES)] or [part]


def _task(config: Pipeline, layout: Layout, folders: Folders, part: Part, number: int) -> Task:
    spool = folders.spool / f"{number:06}.arrow"
    rejected = folders.rejected / f"{number:06}.jsonl"
    return Task(config, layout, part, spool, rejected, folders.fixes)


def run_in_processes(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int
) -> list[Result]:
    """Call a function with each argument in one of several processes; results are in order.

    One worker is this process. More are spawned, since a copy of a process with threads may hold
    locks that are never released.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    if workers < 2:
        return [function(argument) for argument in arguments]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(function, arguments))


def join(layout: Layout, parts: Sequence[PartResult]) -> FirstPassResult:
    """Join the results of all parts, whose catalogues are used up."""
    offsets = _offsets(parts)
    findings = Findings()
    for part, offset in zip(parts, offsets, strict=True):
        findings.merge(part.findings, offset)
    spool = SpoolReader([part.task.spool for part in parts], [len(p.catalogue) for p in parts])
    rows = catalogue.merged([part.catalogue for part in parts], offsets)
    return FirstPassResult(layout, parts, offsets, rows, spool, findings)


def _offsets(parts: Sequence[PartResult]) -> list[int]:
    """For each part, the rows of the same source and split in the blocks before it."""
    seen: Counter[tuple[str, str]] = Counter()
    offsets = []
    for result in parts:
        part = result.task.part
        offsets.append(seen[part.split, part.file] if part.block else 0)
        seen[part.split, part.file] += result.rows
    return offsets
