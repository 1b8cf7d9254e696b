"""Tables on disk as Arrow streams, which ``datasets`` and PyArrow map into memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


def write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write record batches one after the other; only one is in memory at a time."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def open_dataset(path: Path) -> Dataset:
    """Map a table into memory; indexing with a list of rows gives an Arrow table."""
    from datasets import Dataset

    return Dataset.from_file(str(path)).with_format("arrow")
