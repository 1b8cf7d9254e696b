"""Batch prediction: rows in, rows out, a chunk at a time."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tasks import registry, tracking
from tasks.contract import reading
from tasks.errors import DataError, Problem
from tasks.registry import Reference
from tasks.workspace import Workspace

CHUNK = 512
Row = dict[str, Any]


def stream(
    workspace: Workspace,
    model: str,
    file: str,
    output: str,
    columns: Sequence[str],
    probabilities: bool,
) -> Iterator[str]:
    """Predict a file, or standard input, and yield lines of output.

    Raises:
        ModelError: no such model.
        DataError: the input cannot be read or lacks a column.
    """
    from flows.run import quiet

    quiet()
    path = reading.STDIN if file == "-" else reading.expand([file], Path())[0]
    kind = output or ("csv" if reading.format_of(path) in (".csv", ".tsv") else "jsonl")
    if kind not in ("csv", "jsonl"):
        raise DataError(Problem("--to", f"expected csv or jsonl, found {kind!r}"))
    mapping = _mapping(columns)
    client = tracking.connect(workspace)
    version = registry.look_up(client, Reference.parse(model))
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return
    import mlflow.pyfunc

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    loaded = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    inputs = [column.name for column in loaded.metadata.get_input_schema().inputs]
    _require(first, inputs, mapping, _name(path))
    writer = _Writer(kind)
    for chunk in _chunks(_chain(first, rows)):
        yield writer.lines(_answer(loaded, chunk, inputs, mapping, probabilities))


def _name(path: Path) -> str:
    return "standard input" if path == reading.STDIN else str(path)


def _mapping(columns: Sequence[str]) -> dict[str, str]:
    mapping = {}
    for text in columns:
        name, equals, actual = text.partition("=")
        if not equals:
            raise DataError(Problem(f"--column {text}", "expected NAME=YOURS, such as text=review"))
        mapping[name] = actual
    return mapping


def _rows(path: Path) -> Iterator[Row]:
    for item in reading.read(path):
        if isinstance(item, reading.Unreadable):
            raise DataError(Problem(f"{_name(path)} row {item.row}", item.reason))
        yield item[1]


def _require(row: Row, inputs: list[str], mapping: dict[str, str], where: str) -> None:
    missing = [mapping.get(name, name) for name in inputs if mapping.get(name, name) not in row]
    if missing:
        found = ", ".join(map(repr, row))
        message = f"expected a column {missing[0]!r}, found {found}"
        raise DataError(Problem(where, message, f"rename it with --column {missing[0]}=YOURS"))


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _answer(
    model: Any, chunk: list[Row], inputs: list[str], mapping: dict[str, str], probabilities: bool
) -> Iterator[Row]:
    import pandas as pd

    table = pd.DataFrame(
        {name: [str(row.get(mapping.get(name, name)) or "") for row in chunk] for name in inputs}
    )
    answers = model.predict(table).to_dict("records")
    for row, answer in zip(chunk, answers, strict=True):
        if not probabilities:
            answer.pop("probabilities", None)
        yield row | {f"predicted_{k}" if k in row else k: v for k, v in answer.items()}


class _Writer:
    """Formats rows; the CSV header comes with the first ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.header: list[str] | None = None

    def lines(self, rows: Iterable[Row]) -> str:
        if self.kind == "jsonl":
            return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        for row in rows:
            if self.header is None:
                self.header = list(row)
                writer.writerow(self.header)
            writer.writerow([row.get(name, "") for name in self.header])
        return buffer.getvalue()
