"""Stage 2, tokenization: rows in, token ids in memory-mapped Arrow out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Pipeline
from tasks import arrow
from tasks.applications import base as applications
from tasks.applications.base import Application
from tasks.contract.frames import SPLITS
from tasks.errors import DataError, Problem
from tasks.store import Stored
from tasks.training import base_model
from tasks.training.base_model import BaseModel
from tasks.validation import Validated
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Tokenized:
    """The result of the stage.

    Attributes:
        stored: the output folder: an Arrow file a split.
        max_length: longest input in tokens.
        tokens: token count by split.
        truncated: rows that were cut.
    """

    stored: Stored
    max_length: int
    tokens: dict[str, int]
    truncated: int

    @property
    def note(self) -> str:
        """One line for people."""
        total = sum(self.tokens.values())
        return f"{total:,} tokens; {self.truncated:,} rows cut to {self.max_length} tokens"


def tokenize_rows(
    config: Pipeline, workspace: Workspace, validated: Validated, base: BaseModel
) -> Tokenized:
    """Tokenize every split with the base model's tokenizer.

    Raises:
        ModelError: the tokenizer is unusable, or ``model.max_length`` exceeds it.
        DataError: more rows than ``contract.max_truncated`` allows are too long.
    """
    application = applications.get(config.application)
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "rows": validated.digest,
        "tokenizer": base.tokenizer_digest,
        "positions": base.config.get("max_position_embeddings"),
        "max_length": config.model.max_length,
        "max_truncated": config.contract.max_truncated,
    }

    def build(folder: Path) -> dict[str, Any]:
        return _build(folder, config, validated, base, application)

    stored = workspace.store.produce("tokenization", inputs, build, fresh=workspace.fresh)
    summary = stored.summary
    return Tokenized(stored, summary["max_length"], summary["tokens"], summary["truncated"])


def _build(
    folder: Path,
    config: Pipeline,
    validated: Validated,
    base: BaseModel,
    application: Application,
) -> dict[str, Any]:
    tokenizer = base_model.load_tokenizer(base.path)
    length = base_model.max_length(config.model, base, tokenizer.model_max_length)
    tokens, cut = {}, {}
    for split in SPLITS:
        rows = arrow.MappedTable(validated.stored.path / f"{split}.arrow")
        writer = _Encoder(application, tokenizer, length)
        batches = writer.batches(rows)
        first = next(batches)
        arrow.write(folder / f"{split}.arrow", _chain(first, batches), first.schema)
        tokens[split], cut[split] = writer.tokens, writer.truncated
    _refuse_too_long(sum(cut.values()), sum(validated.rows.values()), length, config)
    summary = {"tokens": tokens, "truncated": sum(cut.values()), "max_length": length}
    return summary | {"truncated_by_split": cut}


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


class _Encoder:
    """Tokenizes batch after batch and counts."""

    def __init__(self, application: Application, tokenizer: Any, max_length: int) -> None:
        self.application = application
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokens = 0
        self.truncated = 0

    def batches(self, rows: arrow.MappedTable) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), BATCH):
            table = rows.slice(start, min(start + BATCH, len(rows)))
            encoded = self.application.encode(table.to_pydict(), self.tokenizer, self.max_length)
            self.truncated += encoded.truncated
            self.tokens += sum(map(len, encoded.columns["input_ids"]))
            yield _record_batch(encoded.columns)


def _record_batch(columns: dict[str, Any]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = {
        name: pa.array(values, pa.list_(pa.int32()) if isinstance(values[0], list) else pa.int32())
        for name, values in columns.items()
    }
    return pa.RecordBatch.from_pydict(arrays)


def _refuse_too_long(cut: int, rows: int, length: int, config: Pipeline) -> None:
    limit = config.contract.max_truncated
    if cut > limit * rows:
        message = f"{cut} of {rows} rows are longer than {length} tokens, more than {limit:.0%}"
        advice = "raise model.max_length or contract.max_truncated"
        raise DataError(Problem("model.max_length", message, advice))
