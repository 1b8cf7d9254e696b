"""The second pass: write the rows that stay, split by split, and profile them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Facts
from tasks.applications.facts import Census
from tasks.contract.passes import first_pass
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.rows import spool
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.sources.splits import SPLITS
from tasks.contract.statistics.profile import Profile, Profiler

NO_SPLIT: Final = -1
BATCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of the spool to write.

    Attributes:
        split: position of each row's split; ``NO_SPLIT`` for a row that leaves.
        file: position of each row's file.
        folder: where one Arrow file per split is written.
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
    folder: Path, config: Pipeline, checked: CrossRowResult, facts: Facts, workers: int
) -> dict[str, Profile]:
    """Write one Arrow file per split with ``workers`` processes, and return the profiles."""
    application = applications.get(config.application)
    texts = checked.first.layout.texts(config, application)
    split = np.where(checked.kept, checked.rows.split, NO_SPLIT).astype(np.int8)
    rows, paths = checked.rows, checked.first.spool.paths
    piece = Piece(paths, split, rows.file, rows.row, folder, application.name, facts, tuple(texts))
    if workers < 2:
        profilers = write_piece(piece)
    else:
        pieces = list(_divide(piece, checked.first.spool.sizes, folder / "pieces"))
        profilers = _merged(first_pass.run_in_processes(write_piece, pieces, workers))
        for one in SPLITS:
            _join([piece.folder / f"{one}.arrow" for piece in pieces], folder / f"{one}.arrow")
        shutil.rmtree(folder / "pieces")
    census = checked.census(texts)
    return {one: _profile(profilers[one], _labels(census, one), texts) for one in SPLITS}


def _divide(piece: Piece, sizes: Sequence[int], folder: Path) -> Iterator[Piece]:
    """A piece per file of the spool."""
    start, before = 0, np.zeros(len(SPLITS), np.int64)
    for number, (path, size) in enumerate(zip(piece.paths, sizes, strict=True)):
        here = slice(start, start + size)
        target = folder / f"{number:06}"
        target.mkdir(parents=True)
        yield replace(
            piece,
            paths=(path,),
            split=piece.split[here],
            file=piece.file[here],
            row=piece.row[here],
            folder=target,
            before=tuple(map(int, before)),
        )
        before += [np.count_nonzero(piece.split[here] == split) for split in range(len(SPLITS))]
        start += size


def write_piece(piece: Piece) -> dict[str, Profiler]:
    """Write the rows of a piece that stay, split by split."""
    application = applications.get(piece.application)
    profilers = {split: Profiler(piece.texts) for split in SPLITS}
    files: dict[str, _ArrowFile] = {}
    with ExitStack() as stack:
        for start, table in SpoolReader(piece.paths, ()).chunks():
            here = slice(start, start + table.num_rows)
            for number, split in enumerate(SPLITS):
                chosen = np.flatnonzero(piece.split[here] == number)
                if not len(chosen):
                    continue
                some = table.take(chosen)
                profilers[split].update({name: some[name] for name in piece.texts})
                places = {name: getattr(piece, name)[here][chosen] for name in ("file", "row")}
                values = application.rows.store(spool.frame(some, piece.texts), piece.facts)
                rows = _table(places, values)
                if split not in files:
                    path = piece.folder / f"{split}.arrow"
                    files[split] = _ArrowFile(path, rows.schema, stack, piece.before[number])
                files[split].append(rows)
    return profilers


def _table(places: Mapping[str, Any], values: Mapping[str, Any]) -> pa.Table:
    table = pa.table({k: v.astype(np.int64) for k, v in places.items()} | dict(values))
    # The offsets of one batch fit into 32 bits.
    fields = [f.with_type(pa.string()) if f.type == pa.large_string() else f for f in table.schema]
    return table.cast(pa.schema(fields))


class _ArrowFile:
    """An Arrow file whose batches have ``BATCH`` rows, however many are appended at once.

    The rows ``before`` precede these once files are joined.
    """

    def __init__(self, path: Path, schema: pa.Schema, stack: ExitStack, before: int = 0) -> None:
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._room = BATCH - before % BATCH
        sink = stack.enter_context(pa.OSFile(str(path), "wb"))
        self._writer = stack.enter_context(pa.ipc.new_stream(sink, schema))
        stack.callback(self.flush)

    def append(self, table: pa.Table) -> None:
        """Append rows: whole batches are written, and the rest waits for more rows."""
        self._waiting.append(table.cast(self._schema))
        self._rows += table.num_rows
        if self._rows >= self._room:
            self._write(self._rows - (self._rows - self._room) % BATCH)

    def append_batch(self, batch: pa.RecordBatch) -> None:
        """Append a batch, not copied unless it begins or ends within another one."""
        if not self._rows and batch.num_rows == self._room == BATCH:
            self._writer.write_batch(batch)
        else:
            self.append(pa.Table.from_batches([batch]))

    def flush(self) -> None:
        """Write the rest."""
        if self._rows:
            self._write(self._rows)

    def _write(self, rows: int) -> None:
        table, start = pa.concat_tables(self._waiting), 0
        while start < rows:
            size = min(self._room, rows - start)
            for batch in table.slice(start, size).combine_chunks().to_batches():
                self._writer.write_batch(batch)
            start, self._room = start + size, BATCH
        self._waiting, self._rows = [table.slice(rows)], table.num_rows - rows


def _join(paths: list[Path], target: Path) -> None:
    """Join the files that exist."""
    with ExitStack() as stack:
        joined: _ArrowFile | None = None
        for path in (path for path in paths if path.exists()):
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
                joined = joined or _ArrowFile(target, stream.schema, stack)
                for batch in stream:
                    joined.append_batch(batch)


def _merged(found: list[dict[str, Profiler]]) -> dict[str, Profiler]:
    total = found[0]
    for one in found[1:]:
        for split, profiler in one.items():
            total[split].merge(profiler)
    return total


def _profile(profiler: Profiler, labels: Mapping[str, int] | None, texts: list[str]) -> Profile:
    profiler.update({name: pa.array([], pa.large_string()) for name in texts}, labels)
    return profiler.finish()


def _labels(census: Census, split: str) -> Mapping[str, int] | None:
    """Rows per label; None if rows have no labels."""
    labels = census.labels(split)
    return labels if all(isinstance(label, str) for label in labels) else None
