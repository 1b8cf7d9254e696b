"""Stage 2, tokenization: rows in, token ids in memory-mapped Arrow out."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from configs.errors import DataError, ModelError, Problem
from configs.language import _, english
from configs.schema import Model, Pipeline
from tasks import arrow
from tasks.applications import registry as applications
from tasks.applications.base import Application, EncodedRows, Facts
from tasks.applications.codec import Codec
from tasks.contract.sources.splits import SPLITS
from tasks.processes import calls
from tasks.store import StoredResult
from tasks.training.model import preparation
from tasks.training.model.initial_model import InitialModel
from tasks.training.model.spec import ModelSpec
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
    unknown = _unknown_tokens(codec, facts, texts)
    for split, rows in splits.items():
        encoder = _Encoder(application, codec, facts, unknown)
        batches = encoder.batches(rows)
        first = next(batches)
        arrow.write(folder / f"{split}.arrow", chain([first], batches), first.schema)
        tokens[split], cut[split] = encoder.tokens, encoder.truncated
        counts.update(encoder.counts)
    _refuse_too_long(sum(cut.values()), counts["targets cut"], validated, codec, config)
    _refuse_unknown(unknown, config)
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
    unknown: dict[str, _UnknownTokens]
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


class _Letters(dict[int, int]):
    """For ``str.translate``: letters and their marks stay, anything else becomes a space."""

    def __missing__(self, code: int) -> int:
        is_letter = unicodedata.category(chr(code))[0] in "LM"
        self[code] = code if is_letter else ord(" ")
        return self[code]


class _UnknownTokens:
    """Counts the tokens of words, and those of them that are unknown to the tokenizer.

    Numbers, signs and emoji are left out: they tell nothing about the language.
    """

    def __init__(self, column: str, tokenizer: Any, texts: Sequence[str]) -> None:
        self.column, self.tokenizer, self.texts = column, tokenizer, texts
        self.id = tokenizer.unk_token_id
        # A tokenizer that knows every byte has its end token in this place.
        if self.id in (tokenizer.eos_token_id, tokenizer.pad_token_id):
            self.id = None
        self.letters = _Letters()
        self.counts = np.zeros(1 + max(tokenizer.get_vocab().values()), dtype=np.int64)
        self.found = 0

    def add(self, encoded: EncodedRows, table: Mapping[str, list[Any]]) -> None:
        """Count the tokens of some rows."""
        rows: Sequence[list[int]] = encoded.columns[self.column]
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
        self.counts += np.bincount(ids, minlength=len(self.counts))
        places = range(len(rows)) if encoded.rows is None else encoded.rows
        for ids_of_row, place in zip(rows, places, strict=True):
            if self.id is not None and (count := ids_of_row.count(self.id)):
                text = " ".join(table[name][place] for name in self.texts)
                self.found += min(count, self._unknown(self._split(text)))

    def _split(self, text: str) -> list[str]:
        """The words of a text."""
        return text.translate(self.letters).split()

    def _unknown(self, words: list[str]) -> int:
        """How many tokens of words are unknown."""
        ids = self.tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        return sum(row.count(self.id) for row in ids)

    @property
    def share(self) -> float:
        """The share of unknown tokens."""
        return self.found / (self.found + self._known()) if self.found else 0.0

    def _known(self) -> int:
        """How many of all tokens are of words and known."""
        special = {*self.tokenizer.all_special_ids}
        vocabulary = self.tokenizer.get_vocab().items()
        words = [id_ for token, id_ in vocabulary if id_ not in special and self._split(token)]
        return int(self.counts[words].sum())


def _unknown_tokens(
    codec: Codec, facts: Facts, columns: Sequence[str]
) -> dict[str, _UnknownTokens]:
    """A counter of the texts, and one of the targets that a model writes."""
    targets = [name for name in columns if name not in facts.inputs]
    if codec.head != "seq2seq":
        read = columns if codec.head == "causal" else facts.inputs
        return {"texts": _UnknownTokens("input_ids", codec.tokenizer, read)}
    return {
        "texts": _UnknownTokens("input_ids", codec.tokenizer, facts.inputs),
        "targets": _UnknownTokens("labels", codec.target, targets),
    }


def _refuse_unknown(unknown: dict[str, _UnknownTokens], config: Pipeline) -> None:
    limit, problems = config.contract.max_unknown, []
    for name, counter in unknown.items():
        if counter.share > limit:
            where, what = _mend(name, config.model)
            message = _(
                "{share:.0%} of the tokens of the {name} are unknown to the tokenizer, "
                "more than {limit:.0%}",
                share=counter.share,
                name=name,
                limit=limit,
            )
            advice = _("{what}, or raise contract.max_unknown", what=what)
            problems.append(Problem(where, message, advice))
    if problems:
        raise ModelError(problems)


def _mend(name: str, model: Model) -> tuple[str, str]:
    """The setting that decides about unknown tokens of the texts or the targets, and advice."""
    if model.scratch is not None:
        return "model.scratch.vocab_size", _("raise it")
    if name == "targets" and model.decoder is not None:
        return "model.decoder", _("train a tokenizer on them: model.decoder.vocab_size")
    return "model.base", _("take a model for their language and script")


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
