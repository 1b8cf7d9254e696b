"""The interface of an application: everything that varies with the NLP problem.

An :class:`Application` is a record of small parts. Each part is a class here with defaults, and an
application overrides what its problem needs. Stages call the parts and never ask which
application they have. Heavy libraries are imported inside methods, so that listing applications
costs nothing. ``docs/extending/applications.md`` shows how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from configs.schema import Data, Pipeline
from configs.training import Loss
from tasks.applications.codec import Codec, Head, token_counts
from tasks.applications.facts import Census, F, Facts
from tasks.applications.rows import Problems, Rows
from tasks.applications.scoring import (
    Baseline,
    Batch,
    Objective,
    Predictions,
    Scoring,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema

    from tasks.arrow import MappedTable
    from tasks.contract.sources.base import FileSource

C = TypeVar("C", bound=Pipeline, default=Any)
"""The pipeline class of an application."""
Reasons = dict[int, list[tuple[str, str]]]
"""Broken rules by row index: the rule and the reason, without any text of the row."""


def broken_rules(
    frame: pd.DataFrame, columns: Sequence[str], check: Callable[..., Problems]
) -> Reasons:
    """The rules that each row breaks; ``check`` takes its values of the columns."""
    cells = zip(*(frame[name] for name in columns), strict=True)
    found = {
        int(index): list(check(*values)) for index, values in zip(frame.index, cells, strict=True)
    }
    return {index: reasons for index, reasons in found.items() if reasons}


def model_inputs(batch: Batch) -> dict[str, torch.Tensor]:
    """The part of a batch that a model without a decoder reads."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: batch[name] for name in names if name in batch}


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Tokenized rows.

    Attributes:
        columns: equally long lists, among them ``input_ids``.
        truncated: how many rows were cut to the maximum length.
        rows: for each entry the row that it comes from, where a row makes several.
        counts: other counts to report, such as answers that no window holds.
    """

    columns: dict[str, Sequence[Any]]
    truncated: int
    rows: Sequence[int] | None = None
    counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What a prediction during training may look at besides its batch.

    Attributes:
        rows: the validated split; ``batch["row"]`` are positions in it.
    """

    codec: Codec
    rows: MappedTable
    facts: Any


class Rules(Generic[F, C]):
    """What the contract and the config check for this application."""

    def check(self, config: C) -> Problems:
        """Settings that make no sense for it."""
        yield from ()

    def check_facts(self, config: C, facts: F) -> Problems:
        """Settings that do not fit the facts of the training rows."""
        yield from ()

    def inputs(self, config: C) -> dict[str, Any]:
        """Settings beyond ``data``, ``contract`` and ``language`` that these rules depend on."""
        return {}

    def schema(self, config: C) -> DataFrameSchema:
        """Checks of single cells; a check is named ``rule: reason``."""
        raise NotImplementedError

    def findings(self, frame: pd.DataFrame, config: C) -> Reasons:
        """Broken rules between the cells of a row."""
        return {}

    def dataset_problems(self, census: Census, facts: F, minimum: int) -> list[str]:
        """Problems of the finished splits as a whole, such as a label without rows."""
        return []


class Learning(Generic[F, C]):
    """Facts from the training rows, and the model that is trained with them."""

    def learn(self, census: Census, data: Data) -> F:
        """Facts from the training rows, such as the labels and their counts.

        Raises:
            DataError: nothing can be learned from such rows.
        """
        raise NotImplementedError

    def configure(self, facts: F, config: C) -> F:
        """The facts with settings that tokens or training depend on."""
        return facts

    def model_arguments(self, facts: F) -> dict[str, Any]:
        """Fields of the model's configuration that the problem decides, such as its labels."""
        return {}

    def initialize(self, model: torch.nn.Module, facts: F) -> None:
        """Set fresh weights to better initial values than random ones, in place."""

    def objective(self, facts: F, loss: Loss) -> Objective:
        """The training loss."""
        raise NotImplementedError

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The model's outputs for a batch; by default logits, such as of (rows, classes)."""
        logits: torch.Tensor = model(**model_inputs(batch)).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Targets and predictions of a batch, for :class:`Scorer`."""
        raise NotImplementedError


class Tokens(Generic[F]):
    """Tokenization of stored rows, and batches of them."""

    inputs: tuple[str, ...] = ("text",)
    """Columns that the model reads in one sequence, in order."""

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """Input texts and target texts, for training tokenizers."""
        return [text for name in self.inputs if rows.get(name) for text in rows[name]], []

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of each row's inputs and targets before any cut; no targets if it writes none."""
        names = [name for name in self.inputs if rows.get(name)]
        special = codec.tokenizer.num_special_tokens_to_add(pair=len(names) > 1)
        columns = [
            token_counts(codec.tokenizer, [codec.prefix * (not at) + text for text in rows[name]])
            for at, name in enumerate(names)
        ]
        return [special + sum(row) for row in zip(*columns, strict=True)], []

    def encode(self, rows: Mapping[str, list[Any]], codec: Codec, facts: F) -> EncodedRows:
        """Tokenize a batch of stored rows."""
        raise NotImplementedError

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad tokenized rows into tensors of shape (rows, longest)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Serving(Generic[F, C]):
    """How the registered model predicts.

    Attributes:
        file: self-contained code with ``describe(settings)`` for the signature and a class
            ``Model`` with ``answer(rows)``; it imports nothing of this project.
    """

    file: Path

    def configure(self, facts: F, config: C) -> F:
        """The facts with settings that only predictions depend on."""
        return facts


@dataclass(frozen=True, kw_only=True)
class Application:
    """One NLP problem.

    Attributes:
        name: as ``application`` in a pipeline file.
        version: raised when a change makes earlier stage outputs wrong.
        heads: what a model family must offer, one of these; the first that it has is used.
        pipeline: the class of its pipeline files: sections that only it has, and its rules.
        sources: file formats that only this application reads, by the ending of a file's name.
    """

    name: str
    version: int
    heads: tuple[Head, ...]
    pipeline: type[Pipeline] = Pipeline
    facts: type[Facts]
    rows: Rows
    rules: Rules
    learning: Learning
    tokens: Tokens
    scoring: Scoring
    baseline: Baseline
    serving: Serving
    sources: Mapping[str, type[FileSource]] = field(default_factory=dict)
