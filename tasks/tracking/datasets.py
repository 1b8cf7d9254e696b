"""The data of a run as MLflow shows it: one data set per split, with its schema and size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tasks.arrow import MappedTable
from tasks.contract.sources.splits import SPLITS
from tasks.validation import Validated

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities import DatasetInput

DIGITS = 8
"""Length of a digest, as in MLflow."""
PLACES = frozenset({"file", "row"})
"""Columns that say where a row comes from."""


def of_splits(validated: Validated) -> list[DatasetInput]:
    """Describe the training, validation and test rows."""
    return [_input(split, validated) for split in SPLITS]


def _input(split: str, validated: Validated) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # A split without files is a fraction of the training rows.
    sources = validated.sources
    found = sources.splits.get(split) or sources.splits["train"]
    kind, source = found[0].origin([one.name for one in found])
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


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns in MLflow's format."""
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
