"""Data sets of the Hugging Face hub, and local folders in hub layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.language import _
from tasks.contract.sources.arrow import ARROW_BATCH, ArrowSource

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class HubSplit(ArrowSource):
    """One split of a data set; one process reads it.

    Attributes:
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

    def digest(self) -> str:
        """SHA-256 of the features and of the rows as an Arrow stream, in batches of fixed size."""
        import pyarrow as pa

        sha256 = hashlib.sha256(repr(sorted(self.table.features.items())).encode())
        for batch in self._valid_batches():
            # Copied, since a slice is stored with more than its own values.
            columns = [pa.concat_arrays([column]) for column in batch.columns]
            copied = pa.RecordBatch.from_arrays(columns, batch.schema.names)
            sha256.update(copied.serialize())
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

    def record_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        for table in self.table.with_format("arrow").iter(ARROW_BATCH):
            yield from table.combine_chunks().to_batches()


def load(
    dataset: str, subset: str | None, revision: str | None, folder: Path
) -> dict[str, HubSplit]:
    """Load the splits of a data set, by name, from the hub or from a local folder in hub layout.

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
        message = _("cannot be loaded: {error}", error=f"{type(error).__name__}: {reason}")
        advice = _(
            "expected a folder in hub layout, or a hub id; without access to the Hub set "
            "HF_ENDPOINT to a mirror, or run `hf download {name}{revision} --repo-type dataset "
            "--local-dir FOLDER` elsewhere, copy the folder and set data.dataset: FOLDER",
            name=dataset,
            revision=f" --revision {revision}" if revision else "",
        )
        raise DataError.at(f"data.dataset {dataset}", message, advice) from None
    address = {"path": dataset, "config_name": subset, "revision": revision}
    return {name: HubSplit(name, address, table) for name, table in found.items()}
