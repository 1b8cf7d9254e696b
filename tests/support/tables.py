"""Labelled tables on disk, and the validation stage over them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Pipeline
from tasks.applications import registry
from tasks.contract.sources import splits
from tasks.validation import ValidationResult, validate
from tasks.workspace import Workspace
from tests.support import reading

Row = dict[str, Any]
LENIENT = {"max_quarantined": 1.0, "min_rows_per_class": 1}
RULES = {"duplicates": "quarantine"}
"""So that every row that leaves is in the quarantine."""


def parcels(count: int = 40, name: str = "parcel") -> list[Row]:
    """Different texts, every second one about delivery."""
    labels = ("delivery", "billing")
    return [{"text": f"{name} number {n}", "label": labels[n % 2]} for n in range(count)]


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows in the format that the name says, zipped if it ends in ``.gz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    content = _encoded(kind, rows)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def _encoded(kind: str, rows: Sequence[Row]) -> bytes:
    if kind == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), sink)
        return sink.getvalue()
    if kind == "json":
        return json.dumps(list(rows)).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def pipeline(
    folder: Path,
    data: Mapping[str, Any],
    contract: Mapping[str, Any] | None = None,
    **sections: Any,
) -> Pipeline:
    """A topics pipeline over files of a folder, with a contract that forgives."""
    forgiving = LENIENT | dict(contract or {})
    record = {
        "name": "parcels",
        "application": "topics",
        "data": {"validation": 0.2, "test": 0.2, **data},
        "contract": forgiving | {"rules": RULES | dict(forgiving.get("rules", {}))},
        **sections,
    }
    return reading.pipeline(record).below(folder)


def run(config: Pipeline, *, home: str = "mlruns", fresh: bool = False) -> ValidationResult:
    """Validate into a workspace beside the data."""
    workspace = Workspace.open(config.data.folder / home, fresh=fresh)
    own = registry.get(config.application).sources
    return validate(config, workspace, splits.locate(config.data, own))


def check(
    folder: Path,
    rows: Sequence[Row],
    data: Mapping[str, Any] | None = None,
    contract: Mapping[str, Any] | None = None,
    **sections: Any,
) -> ValidationResult:
    """Write rows as ``train.jsonl`` and validate them."""
    write_table(folder / "train.jsonl", rows)
    return run(pipeline(folder, {"train": "train.jsonl", **(data or {})}, contract, **sections))


def split_rows(validated: ValidationResult, split: str) -> list[Row]:
    """The stored rows of a split, labels by name."""
    labels = validated.facts.labels
    with pa.OSFile(str(validated.stored.path / f"{split}.arrow")) as source:
        rows = pa.ipc.open_stream(source).read_all().to_pylist()
    return [{**row, "label": labels[row["label"]]} for row in rows]


def stored_rows(validated: ValidationResult) -> list[Row]:
    """The stored rows of all splits."""
    return [row for split in splits.SPLITS for row in split_rows(validated, split)]


def quarantined(path: Path) -> list[Row]:
    """The records of a quarantine file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def reasons(validated: ValidationResult) -> dict[int, list[str]]:
    """Why each row was set aside, by row number."""
    records = quarantined(validated.stored.path / "quarantine.jsonl")
    return {record["row"]: record["reasons"] for record in records}
