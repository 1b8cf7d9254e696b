"""The data of a run as MLflow shows it: one data set per split, with its schema and size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Data
from tasks.arrow import MappedTable
from tasks.contract.sources.frames import SPLITS
from tasks.validation import Validated

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities import DatasetInput

DIGITS = 8
"""Of a digest; MLflow's own have as many."""
PLACES = frozenset({"file", "row"})
"""Columns that say where a row comes from."""


def of_splits(data: Data, validated: Validated) -> list[DatasetInput]:
    """Describe the training, validation and test rows."""
    return [_input(split, data, validated) for split in SPLITS]


def _input(split: str, data: Data, validated: Validated) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # Rows that a fraction takes come from the files of the training rows.
    sources = validated.sources
    files = sources.files.get(split) or sources.files["train"]
    kind, source = _source(data, files)
    table = MappedTable(validated.stored.path / f"{split}.arrow")
    profile = {"num_rows": len(table), "num_elements": len(table) * len(_columns(table.schema))}
    dataset = Dataset(
        f"{validated.pipeline}-{split}",
        validated.stored.content(f"{split}.arrow")[:DIGITS],
        kind,
        json.dumps(source),
        json.dumps({"mlflow_colspec": _columns(table.schema)}),
        json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split)])


def _source(data: Data, files: list[str]) -> tuple[str, dict[str, Any]]:
    """A hub data set as MLflow describes it; files by name, without the paths of a machine."""
    if data.dataset is not None:
        hub = {"path": data.dataset, "config_name": data.subset, "revision": data.revision}
        return "hugging_face", hub | {"split": "+".join(files)}
    names = [Path(file).name for file in files]
    return "local", {"uri": names[0], "files": names}


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns in MLflow's terms."""
    from mlflow.types.schema import ColSpec

    fields = [field for field in schema if field.name not in PLACES]
    return [ColSpec(_type(field.type), field.name).to_dict() for field in fields]


def _type(kind: pa.DataType) -> Any:
    from mlflow.types.schema import AnyType, Array, DataType
    from pyarrow import types

    if types.is_string(kind) or types.is_large_string(kind):
        return DataType.string
    if types.is_integer(kind):
        return DataType.long
    if types.is_list(kind):
        return Array(_type(kind.value_type))
    return DataType.double if types.is_floating(kind) else AnyType()  # type: ignore[no-untyped-call]
