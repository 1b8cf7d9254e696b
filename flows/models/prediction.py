"""Batch prediction in chunks; answers to questions from a folder of documents."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from configs.errors import DataError, ModelError, Problem
from tasks.contract.rows.layout import quote_names
from tasks.contract.sources import formats, splits
from tasks.contract.sources.base import Unreadable
from tasks.contract.sources.text_files import STDIN
from tasks.text.retrieval import Passages
from tasks.tracking import registry, runs
from tasks.tracking.client import reach
from tasks.tracking.registry import Reference
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHUNK = 512
PASSAGES = 3
"""Number of passages that are searched for the answer to a question."""
CONTEXT = "context"
UNKNOWN = {"answer": "", "score": None, "start": -1, "end": -1, "answered": False, "source": ""}
"""The answer to a question that shares no word with any passage; the model is not called."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of ``onestep predict``."""

    model: str
    file: str = "-"
    output: str = ""
    columns: Sequence[str] = ()
    probabilities: bool = False
    documents: Path | None = None
    question: str | None = None


def stream(workspace: Workspace, request: Request) -> Iterator[str]:
    """Predict rows and yield lines of output.

    Raises:
        ModelError: no such model, or one that cannot look answers up.
        DataError: the input cannot be read or lacks a column.
    """
    from flows.run.inputs import quiet

    quiet()
    where, kind, rows = _input(request)
    mapping = _mapping(request.columns)
    passages = Passages.read(request.documents) if request.documents else None
    version = look_up(workspace, request.model)
    first = next(rows, None)
    if first is None:
        return
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = LoadedModel.load(workspace, version)
    if passages and not {"question", CONTEXT} <= set(model.inputs):
        found = ", ".join(model.inputs)
        message = f"its input is {found}; only a model for questions looks answers up"
        raise ModelError(Problem(request.model, message, "leave --documents out"))
    needed = [n for n in model.inputs if not (passages and n == CONTEXT)]
    require(first, needed, mapping, where, _rename_or_look_up)
    writer = _Output(kind)
    for chunk in chunks(chain([first], rows)):
        table = model.table(chunk, mapping)
        answers = _look_up(model, table, passages) if passages else model.predict(table)
        yield writer.lines(merged(chunk, answers, request.probabilities))


def look_up(workspace: Workspace, reference: str) -> ModelVersion:
    """Find a registered version by NAME, NAME@ALIAS or NAME/VERSION.

    Raises:
        ModelError: no such model.
    """
    return registry.look_up(reach(workspace), Reference.parse(reference))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as MLflow loads it, and the names of its input columns."""

    served: Any
    inputs: list[str]

    @classmethod
    def load(cls, workspace: Workspace, version: ModelVersion) -> LoadedModel:
        """Load a registered version."""
        served = runs.load_model(workspace, version)
        return cls(served, [column.name for column in served.metadata.get_input_schema().inputs])

    def table(self, rows: Iterable[Row], columns: Mapping[str, str]) -> list[Row]:
        """The input columns of rows as text; a missing value is the empty text.

        ``columns`` maps an input column to its name in the rows, where they differ.
        """
        pairs = [(name, columns.get(name, name)) for name in self.inputs]
        return [{name: str(row.get(own) or "") for name, own in pairs} for row in rows]

    def predict(self, table: Sequence[Row]) -> list[Row]:
        """Answer each row of a table of the input columns."""
        answers: list[Row] = self.served.predict(pd.DataFrame(table)).to_dict("records")
        return answers


def _input(request: Request) -> tuple[str, str, Iterator[Row]]:
    """The source of the rows for messages, the output format, and the rows."""
    if request.output not in ("", "csv", "jsonl"):
        raise DataError(Problem("--to", f"expected csv or jsonl, found {request.output!r}"))
    if request.question is None:
        path = STDIN if request.file == "-" else splits.expand([request.file], Path())[0]
        kind = "csv" if formats.format_of(path) in ("csv", "tsv") else "jsonl"
        return _name(path), request.output or kind, _rows(path)
    if not request.question.strip():
        raise DataError(Problem("--question", "the question is empty"))
    if request.documents is None:
        advice = "add --documents FOLDER"
        raise DataError(Problem("--question", "expected documents to look it up in", advice))
    if request.file != "-":
        raise DataError(Problem("--question", "expected a question or a file, found both"))
    return "--question", request.output or "text", iter([{"question": request.question}])


def _name(path: Path) -> str:
    return "standard input" if path == STDIN else str(path)


def _mapping(columns: Sequence[str]) -> dict[str, str]:
    mapping = {}
    for text in columns:
        name, equals, actual = text.partition("=")
        if not equals:
            raise DataError(Problem(f"--column {text}", "expected NAME=YOURS, such as text=review"))
        mapping[name] = actual
    return mapping


def _rows(path: Path) -> Iterator[Row]:
    for item in formats.open_file(path).rows():
        if isinstance(item, Unreadable):
            raise DataError(Problem(f"{_name(path)} row {item.row}", item.reason))
        yield item[1]


def require(
    row: Row,
    inputs: Iterable[str],
    columns: Mapping[str, str],
    where: str,
    advice: Callable[[str], str],
) -> None:
    """Require that a row has the input columns, under their own or the given names.

    Raises:
        DataError: a column is missing, with the ``advice`` for its name.
    """
    for name in inputs:
        if (own := columns.get(name, name)) not in row:
            message = f"expected a column {own!r}, found {quote_names(row)}"
            raise DataError(Problem(where, message, advice(name)))


def _rename_or_look_up(missing: str) -> str:
    advice = f"rename it with --column {missing}=YOURS"
    looked_up = ", or name a folder of texts with --documents"
    return advice + (looked_up if missing == CONTEXT else "")


def chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Batches of rows that are predicted at once."""
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _look_up(model: LoadedModel, table: list[Row], passages: Passages) -> list[Row]:
    """Answer each row from its own context, or from the passages that match it best.

    The answer with the highest score is taken; of equal scores, that of the better match.
    """
    tried: list[tuple[int, str, Row]] = []
    for at, row in enumerate(table):
        if row[CONTEXT].strip():
            tried.append((at, "", row))
            continue
        found = passages.best(row["question"], PASSAGES)
        tried += [(at, passage.reference, row | {CONTEXT: passage.text}) for passage in found]
    best: dict[int, Row] = {}
    predicted = model.predict([row for _, _, row in tried]) if tried else []
    for (at, source, _), answer in zip(tried, predicted, strict=True):
        answer["source"] = source if answer["answered"] else ""
        if at not in best or _is_better(answer, best[at]):
            best[at] = answer
    return [best.get(at, UNKNOWN) for at in range(len(table))]


def _is_better(answer: Row, other: Row) -> bool:
    if not answer["answered"] or not other["answered"]:
        return bool(answer["answered"])
    return bool(answer["score"] > other["score"])


def merged(chunk: Iterable[Row], answers: Iterable[Row], probabilities: bool) -> Iterator[Row]:
    """Add the answers to the rows, under ``predicted_NAME`` if a row has the column."""
    for row, answer in zip(chunk, answers, strict=True):
        shown = {k: v for k, v in answer.items() if probabilities or k != "probabilities"}
        yield row | {f"predicted_{k}" if k in row else k: v for k, v in shown.items()}


class _Output:
    """Formats rows, CSV with a header before the first; the kind ``text`` is for one answer."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.header: list[str] | None = None

    def lines(self, rows: Iterable[Row]) -> str:
        if self.kind == "jsonl":
            return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
        if self.kind == "text":
            return "".join(map(_sentence, rows))
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        for row in rows:
            if self.header is None:
                self.header = list(row)
                writer.writerow(self.header)
            writer.writerow([_cell(row.get(name, "")) for name in self.header])
        return buffer.getvalue()


def _cell(value: Any) -> Any:
    """Lists as JSON, which other programs read."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _sentence(answer: Row) -> str:
    if not answer["answered"]:
        return "I do not know.\n"
    return f"{answer['answer']}\n({answer['source']}, score {answer['score']:.2f})\n"
