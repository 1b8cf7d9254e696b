"""The second pass over the data: the rows that stay, split by split, and what they look like."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.applications.base import Application, Facts
from tasks.contract import spool
from tasks.contract.catalogue import Catalogue
from tasks.contract.frames import SPLITS
from tasks.contract.profile import Profile, Profiler

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.contract.whole import Whole


class SplitWriter:
    """Writes an Arrow file a split.

    Attributes:
        profiles: of each split, when all is written.
    """

    def __init__(
        self, folder: Path, application: Application, facts: Facts, texts: list[str]
    ) -> None:
        self.profiles: dict[str, Profile] = {}
        self._folder = folder
        self._application = application
        self._facts = facts
        self._texts = texts
        self._profilers = {split: Profiler(texts) for split in SPLITS}
        self._writers: dict[str, Any] = {}
        self._schemas: dict[str, pa.Schema] = {}
        self._stack = ExitStack()

    def __enter__(self) -> SplitWriter:
        """Open nothing yet: the first rows say of which form they are."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self._stack.close()

    def write(self, whole: Whole) -> None:
        """Write every row that stays."""
        rows = whole.rows
        for start, table in whole.spool.chunks():
            here = np.arange(start, start + table.num_rows)
            for number, split in enumerate(SPLITS):
                chosen = here[whole.kept[here] & (rows.split[here] == number)]
                if len(chosen):
                    self._append(split, table.take(chosen - start), rows, chosen)
        for number, split in enumerate(SPLITS):
            self.profiles[split] = self._profile(split, rows, whole.kept & (rows.split == number))

    def _append(self, split: str, table: pa.Table, rows: Catalogue, chosen: Any) -> None:
        import pyarrow as pa

        places = {"file": rows.file[chosen].astype(np.int64), "row": rows.row[chosen]}
        self._profilers[split].update({name: table[name] for name in self._texts})
        finished = pa.table(places | self._application.finish(spool.frame(table), self._facts))
        if split not in self._writers:
            self._schemas[split] = finished.schema
            sink = pa.OSFile(str(self._folder / f"{split}.arrow"), "wb")
            self._stack.enter_context(sink)
            writer = pa.ipc.new_stream(sink, finished.schema)
            self._writers[split] = self._stack.enter_context(writer)
        for batch in finished.cast(self._schemas[split]).to_batches():
            self._writers[split].write_batch(batch)

    def _profile(self, split: str, rows: Catalogue, mask: Any) -> Profile:
        import pyarrow as pa

        labels = _labels(rows, mask)
        nothing = {name: pa.array([], pa.large_string()) for name in self._texts}
        self._profilers[split].update(nothing, labels)
        return self._profilers[split].finish()


def _labels(rows: Catalogue, mask: Any) -> dict[str, int] | None:
    """How many rows have each label; None if rows have none."""
    if not len(rows.brief) or isinstance(rows.values[0], bool):
        return None
    counts: dict[str, int] = {}
    for value, count in zip(
        rows.values, np.bincount(rows.brief[mask], minlength=len(rows.values)), strict=True
    ):
        for label in value if isinstance(value, tuple) else (value,):
            counts[label] = counts.get(label, 0) + int(count)
    return {label: count for label, count in counts.items() if count}
