"""Stage 2, tokenization: rows in, token ids in memory-mapped Arrow out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from configs.errors import DataError, Problem
from configs.schema import Pipeline
from tasks import arrow
from tasks.applications import registry as applications
from tasks.applications.base import Application, EncodedRows, Facts
from tasks.applications.codec import Codec
from tasks.contract.sources.splits import SPLITS
from tasks.store import StoredResult
from tasks.training.model import preparation
from tasks.training.model.initial_model import InitialModel
from tasks.training.model.spec import ModelSpec
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

VERSION = 2
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class TokenizationResult(StoredResult):
    """The result of the stage.

    Attributes:
        stored: the output folder: an Arrow file per split, and trained tokenizers.
        spec: of the model to fine-tune.
        facts: from validation and from the application's settings.
        tokens: token count by split.
        truncated: rows that were cut.
    """

    spec: ModelSpec
    facts: Facts
    tokens: dict[str, int]
    truncated: int

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return self.spec.max_length

    @property
    def note(self) -> str:
        """One line for people."""
        total = sum(self.tokens.values())
        words = f"{total:,} tokens; {self.truncated:,} rows cut to {self.max_length} tokens"
        for name, count in self.stored.summary["counts"].items():
            words += f"; {count:,} {name}"
        if coverage := self.stored.summary["coverage"]:
            words += f"; vectors for {coverage['with_vectors']:,} of {coverage['words']:,} words"
        return words


def tokenize_rows(
    config: Pipeline, workspace: Workspace, validated: ValidationResult, base: InitialModel
) -> TokenizationResult:
    """Tokenize every split with the base model's tokenizer, or with one trained on the rows.

    Raises:
        ModelError: the tokenizer is unusable, or ``model.max_length`` exceeds it.
        DataError: more rows than ``contract.max_truncated`` allows are too long.
    """
    application = applications.get(config.application)
    facts = application.learning.configure(validated.facts, config)
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "rows": validated.digest,
        "tokenizer": base.tokenizer_digest,
        "positions": base.positions,
        "facts": facts.record(),
        "language": config.language.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json", include=preparation.FIELDS),
        "max_truncated": config.contract.max_truncated,
    }

    def build(folder: Path) -> dict[str, Any]:
        return _build(folder, config, validated, base, application, facts)

    stored = workspace.store.produce("tokenization", inputs, build, fresh=workspace.fresh)
    summary = stored.summary
    spec = preparation.specify(config, base, stored.path, summary["lengths"])
    return TokenizationResult(stored, spec, facts, summary["tokens"], summary["truncated"])


def _build(
    folder: Path,
    config: Pipeline,
    validated: ValidationResult,
    base: InitialModel,
    application: Application,
    facts: Facts,
) -> dict[str, Any]:
    splits = {s: arrow.MappedTable(validated.stored.path / f"{s}.arrow") for s in SPLITS}
    coverage = preparation.train_tokenizers(folder, config, base, application, splits["train"])
    codec, lengths = preparation.choose_lengths(folder, config, base, application, splits["train"])
    tokens, cut, counts = {}, {}, Counter[str]()
    for split, rows in splits.items():
        encoder = _Encoder(application, codec, facts)
        batches = encoder.batches(rows)
        first = next(batches)
        arrow.write(folder / f"{split}.arrow", chain([first], batches), first.schema)
        tokens[split], cut[split] = encoder.tokens, encoder.truncated
        counts.update(encoder.counts)
    _refuse_too_long(sum(cut.values()), counts["targets cut"], validated, codec, config)
    summary = {"tokens": tokens, "truncated": sum(cut.values()), "lengths": lengths}
    summary |= {"counts": dict(counts), "coverage": coverage}
    return summary | {"truncated_by_split": cut}


class _Encoder:
    """Tokenizes rows in batches, and counts tokens and truncated rows."""

    def __init__(self, application: Application, codec: Codec, facts: Facts) -> None:
        self.application = application
        self.codec = codec
        self.facts = facts
        self.tokens = 0
        self.truncated = 0
        self.counts: Counter[str] = Counter()

    def batches(self, rows: arrow.MappedTable) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), BATCH):
            table = rows.slice(start, min(start + BATCH, len(rows)))
            encoded = self.application.tokens.encode(table.to_pydict(), self.codec, self.facts)
            self.truncated += encoded.truncated
            self.counts.update(encoded.counts or {})
            self.tokens += sum(map(len, encoded.columns["input_ids"]))
            yield _record_batch(encoded, start)


def _record_batch(encoded: EncodedRows, start: int) -> pa.RecordBatch:
    size = len(encoded.columns["input_ids"])
    rows = encoded.rows if encoded.rows is not None else range(size)
    columns = {**encoded.columns, "row": [start + row for row in rows]}
    arrays = {
        name: pa.array(values, pa.list_(pa.int32()) if isinstance(values[0], list) else pa.int32())
        for name, values in columns.items()
    }
    return pa.RecordBatch.from_pydict(arrays)


def _refuse_too_long(
    cut: int, targets: int, validated: ValidationResult, codec: Codec, config: Pipeline
) -> None:
    limit, rows = config.contract.max_truncated, sum(validated.rows.values())
    if cut <= limit * rows:
        return
    name, what, length = "max_length", "rows are", codec.max_length
    if 2 * targets > cut:
        name, what, length = "max_target_length", "targets are", codec.max_target_length
        cut = targets
    message = f"{cut} of {rows} {what} longer than {length} tokens, more than {limit:.0%}"
    advice = f"raise model.{name} or contract.max_truncated"
    raise DataError(Problem(f"model.{name}", message, advice))
