"""The second pass over the data: the rows that stay, split by split, and what they look like."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.applications import registry as applications
from tasks.applications.base import Facts
from tasks.applications.census import Census
from tasks.contract.passes import processes
from tasks.contract.rows import spool
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.sources.splits import SPLITS
from tasks.contract.statistics.profile import Profile, Profiler

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.contract.rules.dataset import Whole

GONE = -1
BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some spooled rows, and what becomes of them.

    Attributes:
        paths: their files.
        split: position of each row's split; ``GONE`` for a row that does not stay.
        file: position of each row's file.
        row: each row's number.
        folder: where an Arrow file a split is written.
        application: name of the application.
        facts: what the training rows taught.
        texts: the text columns.
        before: rows of each split in earlier pieces.
    """

    paths: tuple[Path, ...]
    split: NDArray[np.int8]
    file: NDArray[np.int32]
    row: NDArray[np.int32]
    folder: Path
    application: str
    facts: Facts
    texts: tuple[str, ...]
    before: tuple[int, ...] = (0,) * len(SPLITS)


def write(
    whole: Whole, folder: Path, facts: Facts, texts: list[str], workers: int
) -> dict[str, Profile]:
    """Write an Arrow file a split.

    Args:
        whole: the rows, and which of them stay.
        folder: of the stage.
        facts: what the training rows taught.
        texts: the text columns.
        workers: processes to write with.

    Returns:
        What the rows of each split look like.
    """
    rows = whole.rows
    split = np.where(whole.kept, rows.split, GONE).astype(np.int8)
    name = whole.config.application
    if workers < 2:
        piece = Piece(
            whole.spool.paths, split, rows.file, rows.row, folder, name, facts, tuple(texts)
        )
        profilers = write_piece(piece)
    else:
        pieces = list(_pieces(whole, split, folder / "pieces", facts, tuple(texts)))
        profilers = _merged(processes.run(write_piece, pieces, workers))
        for one in SPLITS:
            _join([piece.folder / f"{one}.arrow" for piece in pieces], folder / f"{one}.arrow")
        shutil.rmtree(folder / "pieces")
    census = whole.census(texts)
    return {one: _profile(profilers[one], _labels(census, one), texts) for one in SPLITS}


def _pieces(
    whole: Whole, split: NDArray[np.int8], folder: Path, facts: Facts, texts: tuple[str, ...]
) -> Iterator[Piece]:
    rows, start = whole.rows, 0
    before = np.zeros(len(SPLITS), np.int64)
    for number, (path, size) in enumerate(zip(whole.spool.paths, whole.spool.sizes, strict=True)):
        here = slice(start, start + size)
        target = folder / f"{number:06}"
        target.mkdir(parents=True)
        yield Piece(
            (path,),
            split[here],
            rows.file[here],
            rows.row[here],
            target,
            whole.config.application,
            facts,
            texts,
            tuple(map(int, before)),
        )
        before += [np.count_nonzero(split[here] == number) for number in range(len(SPLITS))]
        start += size


def write_piece(piece: Piece) -> dict[str, Profiler]:
    """Write the rows of a piece that stay, split by split."""
    application = applications.get(piece.application)
    profilers = {split: Profiler(piece.texts) for split in SPLITS}
    with ExitStack() as stack:
        streams: dict[str, _Stream] = {}
        for start, table in SpoolReader(piece.paths, ()).chunks():
            here = slice(start, start + table.num_rows)
            for number, split in enumerate(SPLITS):
                chosen = np.flatnonzero(piece.split[here] == number)
                if not len(chosen):
                    continue
                some = table.take(chosen)
                profilers[split].update({name: some[name] for name in piece.texts})
                places = {name: getattr(piece, name)[here][chosen] for name in ("file", "row")}
                finished = application.rows.store(spool.frame(some, piece.texts), piece.facts)
                rows = _table(places, finished)
                if split not in streams:
                    path = piece.folder / f"{split}.arrow"
                    streams[split] = _Stream(path, rows.schema, stack, piece.before[number])
                streams[split].append(rows)
    return profilers


def _table(places: Mapping[str, Any], finished: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    table = pa.table({k: v.astype(np.int64) for k, v in places.items()} | dict(finished))
    # The offsets of one batch fit into 32 bits.
    fields = [f.with_type(pa.string()) if f.type == pa.large_string() else f for f in table.schema]
    return table.cast(pa.schema(fields))


class _Stream:
    """An Arrow file whose batches do not depend on how its rows came.

    Args:
        path: the file.
        schema: of its rows.
        stack: closes it.
        before: rows that come before these once files are joined.
    """

    def __init__(self, path: Path, schema: pa.Schema, stack: ExitStack, before: int = 0) -> None:
        import pyarrow as pa

        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._room = BATCH - before % BATCH
        sink = stack.enter_context(pa.OSFile(str(path), "wb"))
        self._writer = stack.enter_context(pa.ipc.new_stream(sink, schema))
        stack.callback(self.flush)

    def append(self, table: pa.Table) -> None:
        """Write whole batches, and keep the rest for later."""
        self._waiting.append(table.cast(self._schema))
        self._rows += table.num_rows
        if self._rows >= self._room:
            self._write(self._rows - (self._rows - self._room) % BATCH)

    def pass_on(self, batch: pa.RecordBatch) -> None:
        """Append rows that are already in batches, but for those at the seams of files."""
        import pyarrow as pa

        if not self._rows and batch.num_rows == self._room == BATCH:
            self._writer.write_batch(batch)
        else:
            self.append(pa.Table.from_batches([batch]))

    def flush(self) -> None:
        """Write what is left."""
        if self._rows:
            self._write(self._rows)

    def _write(self, rows: int) -> None:
        import pyarrow as pa

        table, start = pa.concat_tables(self._waiting), 0
        while start < rows:
            size = min(self._room, rows - start)
            for batch in table.slice(start, size).combine_chunks().to_batches():
                self._writer.write_batch(batch)
            start, self._room = start + size, BATCH
        self._waiting, self._rows = [table.slice(rows)], table.num_rows - rows


def _join(paths: list[Path], target: Path) -> None:
    """One file of those that are there."""
    import pyarrow as pa

    with ExitStack() as stack:
        joined: _Stream | None = None
        for path in (path for path in paths if path.exists()):
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
                joined = joined or _Stream(target, stream.schema, stack)
                for batch in stream:
                    joined.pass_on(batch)


def _merged(found: list[dict[str, Profiler]]) -> dict[str, Profiler]:
    total = found[0]
    for one in found[1:]:
        for split, profiler in one.items():
            total[split].merge(profiler)
    return total


def _profile(profiler: Profiler, labels: Mapping[str, int] | None, texts: list[str]) -> Profile:
    import pyarrow as pa

    profiler.update({name: pa.array([], pa.large_string()) for name in texts}, labels)
    return profiler.finish()


def _labels(census: Census, split: str) -> Mapping[str, int] | None:
    """How many rows have each label; None if rows have none."""
    labels = census.labels(split)
    return labels if all(isinstance(label, str) for label in labels) else None
