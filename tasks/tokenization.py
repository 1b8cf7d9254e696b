"""Stage 2, tokenization: rows in, token ids in memory-mapped Arrow out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from configs.errors import DataError
from configs.language import _, english
from configs.schema import Pipeline
from tasks import arrow
from tasks.applications import registry as applications
from tasks.applications.base import Application, EncodedRows, Facts
from tasks.applications.codec import Codec
from tasks.contract.sources.splits import SPLITS
from tasks.processes import calls
from tasks.store import StoredResult
from tasks.training.model import preparation, unknown_tokens
from tasks.training.model.initial_model import InitialModel
from tasks.training.model.spec import ModelSpec
from tasks.training.model.unknown_tokens import UnknownTokens
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

VERSION = 5
BATCH = 2_000
EVERY_FILE = ("",)
NOTABLE = 0.01
"""Share of unknown tokens from which it is shown."""


@dataclass(frozen=True, slots=True)
class TokenizationResult(StoredResult):
    """The result of the stage.

    Attributes:
        stored: the output folder: an Arrow file per split, and trained tokenizers.
        facts: from validation and from the application's settings.
        tokens: token count by split.
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
        summary, total = self.stored.summary, sum(self.tokens.values())
        cut = english(
            "{rows:,} rows cut to {length} tokens", rows=self.truncated, length=self.max_length
        )
        words = [english("{count:,} tokens", count=total), cut]
        for name, count in summary["counts"].items():
            words.append(english("{count:,} {note}", count=count, note=name))
        for name, share in summary["unknown"].items():
            if share >= NOTABLE:
                unknown = english(
                    "{share:.1%} of the tokens of the {name} unknown to the tokenizer",
                    share=share,
                    name=name,
                )
                words.append(unknown)
        if coverage := summary["coverage"]:
            words.append(english("vectors for {with_vectors:,} of {words:,} words", **coverage))
        return "; ".join(words)


def tokenize_rows(
    config: Pipeline, workspace: Workspace, validated: ValidationResult, base: InitialModel
) -> TokenizationResult:
    """Tokenize every split with the base model's tokenizer, or with one trained on the rows.

    Raises:
        ModelError: the tokenizer is unusable or does not know the texts, or ``model.max_length``
            exceeds it.
        DataError: more rows than ``contract.max_truncated`` allows are too long.
    """
    application = applications.get(config.application)
    facts = application.learning.configure(validated.facts, config)
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "rows": validated.digest,
        "tokenizer": base.tokenizer_digest,
        "architecture": [base.config, base.decoder.config if base.decoder else None],
        "facts": facts.record(),
        "language": config.language.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json", include=preparation.FIELDS),
        "max_truncated": config.contract.max_truncated,
        "max_unknown": config.contract.max_unknown,
    }

    def build(folder: Path) -> dict[str, Any]:
        return calls.call(_build, folder, config, validated, base, facts)

    stored = workspace.store.produce(
        "tokenization", inputs, build, fresh=workspace.fresh, pure=EVERY_FILE
    )
    summary = stored.summary
    preparation.require_room(config, summary["lengths"])
    spec = preparation.specify(config, base, stored.path, summary["lengths"])
    return TokenizationResult(stored, spec, facts, summary["tokens"], summary["truncated"])


def _build(
    folder: Path,
    config: Pipeline,
    validated: ValidationResult,
    base: InitialModel,
    facts: Facts,
) -> dict[str, Any]:
    application = applications.get(config.application)
    splits = {split: validated.table(split) for split in SPLITS}
    coverage = preparation.train_tokenizers(folder, config, base, application, splits["train"])
    codec, lengths = preparation.choose_lengths(folder, config, base, application, splits["train"])
    tokens, cut, counts = {}, {}, Counter[str]()
    schema = splits["train"].schema
    texts = [one.name for one in schema if pa.types.is_string(one.type)]
    unknown = unknown_tokens.counters(codec, facts, texts)
    for split, rows in splits.items():
        encoder = _Encoder(application, codec, facts, unknown)
        batches = encoder.batches(rows)
        first = next(batches)
        arrow.write(folder / f"{split}.arrow", chain([first], batches), first.schema)
        tokens[split], cut[split] = encoder.tokens, encoder.truncated
        counts.update(encoder.counts)
    _refuse_too_long(sum(cut.values()), counts["targets cut"], validated, codec, config)
    unknown_tokens.require_known(unknown, config)
    return {
        "unknown": {name: counter.share for name, counter in unknown.items()},
        "tokens": tokens,
        "truncated": sum(cut.values()),
        "lengths": lengths,
        "counts": dict(counts),
        "coverage": coverage,
        "truncated_by_split": cut,
    }


@dataclass
class _Encoder:
    """Tokenizes rows in batches, and counts tokens and truncated rows."""

    application: Application
    codec: Codec
    facts: Facts
    unknown: dict[str, UnknownTokens]
    tokens: int = 0
    truncated: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def batches(self, rows: arrow.MappedTable) -> Iterator[pa.RecordBatch]:
        for start, table in rows.chunks(BATCH):
            columns = table.to_pydict()
            encoded = self.application.tokens.encode(columns, self.codec, self.facts)
            self.truncated += encoded.truncated
            self.counts.update(encoded.counts or {})
            self.tokens += sum(map(len, encoded.columns["input_ids"]))
            for counter in self.unknown.values():
                counter.add(encoded, columns)
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
    name, what, length = "max_length", _("rows are"), codec.max_length
    if 2 * targets > cut:
        name, what, length = "max_target_length", _("targets are"), codec.max_target_length
        cut = targets
    message = _(
        "{cut} of {rows} {what} longer than {length} tokens, more than {limit:.0%}",
        cut=cut,
        rows=rows,
        what=what,
        length=length,
        limit=limit,
    )
    advice = _("raise model.{name} or contract.max_truncated", name=name)
    raise DataError.at(f"model.{name}", message, advice)
