"""Data sets of the Hugging Face hub, and local folders in hub layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, Problem
from tasks.contract.sources.base import (
    ARROW_BATCH,
    Batch,
    Block,
    Rows,
    Source,
    arrow_batches,
    arrow_rows,
    require_utf8,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class HubSplit(Source):
    """One split of a data set; one process reads it.

    Attributes:
        name: of the split.
        dataset: the hub id or the folder, the subset and the revision.
        table: the loaded ``datasets.Dataset``.
    """

    name: str
    dataset: Mapping[str, str | None]
    table: Any

    def __post_init__(self) -> None:
        self.place = f"data.dataset split {self.name}"

    def columns(self) -> list[str]:
        return list(self.table.column_names)

    def rows(self, block: Block | None = None) -> Rows:
        return arrow_rows(self._record_batches())

    def batches(self, columns: Sequence[str], block: Block | None = None) -> Iterator[Batch]:
        return arrow_batches(self._record_batches(), columns)

    def digest(self) -> str:
        """SHA-256 of the features and of the rows as an Arrow stream, in batches of fixed size."""
        sha256 = hashlib.sha256(repr(sorted(self.table.features.items())).encode())
        for batch in self._record_batches():
            sha256.update(batch.replace_schema_metadata().serialize())
        return sha256.hexdigest()

    def size(self) -> int:
        return 0

    def label_names(self, column: str) -> Sequence[str] | None:
        """Names of a ``ClassLabel`` feature, or of one in a list."""
        feature = self.table.features[column]
        names: Sequence[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
        return names

    def origin(self, names: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return "hugging_face", {**self.dataset, "split": "+".join(names)}

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        tables = self.table.with_format("arrow").iter(ARROW_BATCH)
        whole = (table.combine_chunks().to_batches() for table in tables)
        return require_utf8((batch for batches in whole for batch in batches), self.place)


def load(
    dataset: str, subset: str | None, revision: str | None, folder: Path
) -> dict[str, HubSplit]:
    """Load a data set from the hub, or from a local folder in hub layout.

    Returns:
        Its splits by name.

    Raises:
        DataError: it does not exist, cannot be reached, or has no such subset.
    """
    import datasets

    local = folder / dataset
    source = str(local) if local.is_dir() else dataset
    try:
        found = datasets.load_dataset(source, subset, revision=revision)
    except Exception as error:
        reason = str(error)[:200].partition("\n")[0]
        message = f"cannot be loaded: {type(error).__name__}: {reason}"
        advice = "expected a hub id that can be reached, or a folder in hub layout"
        raise DataError(Problem(f"data.dataset {dataset}", message, advice)) from None
    address = {"path": dataset, "config_name": subset, "revision": revision}
    return {name: HubSplit(name, address, table) for name, table in found.items()}
