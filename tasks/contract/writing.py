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

from tasks import arrow
from tasks.applications import base as applications
from tasks.applications.base import Facts
from tasks.contract import processes, spool
from tasks.contract.catalogue import Catalogue
from tasks.contract.frames import SPLITS
from tasks.contract.profile import Profile, Profiler
from tasks.contract.spool import Spooled

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.contract.whole import Whole

GONE = -1


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
    """

    paths: tuple[Path, ...]
    split: NDArray[np.int8]
    file: NDArray[np.int32]
    row: NDArray[np.int32]
    folder: Path
    application: str
    facts: Facts
    texts: tuple[str, ...]


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
    return {
        one: _profile(profilers[one], rows, split == number, texts)
        for number, one in enumerate(SPLITS)
    }


def _pieces(
    whole: Whole, split: NDArray[np.int8], folder: Path, facts: Facts, texts: tuple[str, ...]
) -> Iterator[Piece]:
    rows, start = whole.rows, 0
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
        )
        start += size


def write_piece(piece: Piece) -> dict[str, Profiler]:
    """Write the rows of a piece that stay, split by split."""
    application = applications.get(piece.application)
    profilers = {split: Profiler(piece.texts) for split in SPLITS}
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for start, table in Spooled(piece.paths, ()).chunks():
            here = slice(start, start + table.num_rows)
            for number, split in enumerate(SPLITS):
                chosen = np.flatnonzero(piece.split[here] == number)
                if not len(chosen):
                    continue
                some = table.take(chosen)
                profilers[split].update({name: some[name] for name in piece.texts})
                places = {name: getattr(piece, name)[here][chosen] for name in ("file", "row")}
                finished = application.finish(spool.frame(some), piece.facts)
                _append(writers, split, piece.folder, _table(places, finished), stack)
    return profilers


def _table(places: Mapping[str, Any], finished: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    return pa.table({k: v.astype(np.int64) for k, v in places.items()} | dict(finished))


def _append(
    writers: dict[str, Any], split: str, folder: Path, table: pa.Table, stack: ExitStack
) -> None:
    import pyarrow as pa

    if split not in writers:
        sink = stack.enter_context(pa.OSFile(str(folder / f"{split}.arrow"), "wb"))
        writer = stack.enter_context(pa.ipc.new_stream(sink, table.schema))
        writers[split] = (writer, table.schema)
    writer, schema = writers[split]
    for batch in table.cast(schema).to_batches():
        writer.write_batch(batch)


def _join(paths: list[Path], target: Path) -> None:
    """One file of those that are there."""
    import pyarrow as pa

    present = [path for path in paths if path.exists()]
    with pa.OSFile(str(present[0])) as source, pa.ipc.open_stream(source) as first:
        schema = first.schema

    def batches() -> Iterator[pa.RecordBatch]:
        for path in present:
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
                for batch in stream:
                    yield batch.cast(schema)

    arrow.write(target, batches(), schema)


def _merged(found: list[dict[str, Profiler]]) -> dict[str, Profiler]:
    total = found[0]
    for one in found[1:]:
        for split, profiler in one.items():
            total[split].merge(profiler)
    return total


def _profile(profiler: Profiler, rows: Catalogue, mask: Any, texts: list[str]) -> Profile:
    import pyarrow as pa

    profiler.update({name: pa.array([], pa.large_string()) for name in texts}, _labels(rows, mask))
    return profiler.finish()


def _labels(rows: Catalogue, mask: Any) -> dict[str, int] | None:
    """How many rows have each label; None if rows have none."""
    if not len(rows.brief) or isinstance(rows.values[0], bool):
        return None
    counts: dict[str, int] = {}
    totals = np.bincount(rows.brief[mask], minlength=len(rows.values))
    for value, count in zip(rows.values, totals, strict=True):
        for label in value if isinstance(value, tuple) else (value,):
            counts[label] = counts.get(label, 0) + int(count)
    return {label: count for label, count in counts.items() if count}
