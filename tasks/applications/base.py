"""What an application is: everything that varies with the NLP problem, and nothing else.

A stage calls these methods and never asks which application it has. To add one, write
``tasks/applications/NAME.py`` with a module-level ``APPLICATION`` and a YAML that names it.
Heavy libraries are imported inside the methods, so that listing applications costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import torch
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.census import Census
    from tasks.applications.shared.codec import Codec
    from tasks.arrow import MappedTable

Head = Literal["sequence-classification", "question-answering", "seq2seq", "causal"]
Facts = dict[str, Any]
Batch = dict[str, "torch.Tensor"]
Predictions = Mapping[str, Any]
Reasons = dict[int, list[tuple[str, str]]]
"""What is wrong with rows, by their index: the rule and the words, without any text of theirs."""


@dataclass(frozen=True, slots=True)
class Column:
    """An input column by its canonical name.

    Attributes:
        name: the name that the application uses; ``data.columns`` maps it to the file's.
        kind: ``text`` is shown to the model, ``target`` is what it learns.
        optional: whether files may lack it.
        stored: the form of its values once a row is valid: a text, a list of texts, or SQuAD's
            flat layout of answers.
    """

    name: str
    kind: Literal["text", "target"]
    optional: bool = False
    stored: Literal["text", "texts", "answers"] = "text"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokenized rows.

    Attributes:
        columns: equally long lists, among them ``input_ids``.
        truncated: how many rows were cut to the maximum length.
        rows: for each entry the row that it comes from, where a row makes several.
        counts: other things worth knowing, such as answers that no window holds.
    """

    columns: dict[str, Sequence[Any]]
    truncated: int
    rows: Sequence[int] | None = None
    counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What a prediction during training may look at besides its batch.

    Attributes:
        codec: the tokenizers.
        rows: the validated split; ``batch["row"]`` are positions in it.
        facts: what the training rows taught, and the settings.
    """

    codec: Codec
    rows: MappedTable
    facts: Facts


class Rewritten(Protocol):
    """A text in which something was mended or replaced."""

    @property
    def old(self) -> str:
        """The text as it was."""

    @property
    def text(self) -> str:
        """The new text."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the old text is in the new one, in whole placeholders."""


class Objective(Protocol):
    """The training loss as a sum, so that accumulated batches add up exactly.

    The loss of a step is the sum of ``total`` over its batches, divided by the sum of ``weight``.
    """

    expected_initial: float
    """The loss of a model that knows nothing, in nats."""

    def weight(self, batch: Batch) -> torch.Tensor:
        """Total weight of the targets of a batch, a scalar."""

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weighted sum of the losses of a batch, a scalar with a graph."""


class Scorer(Protocol):
    """Metrics of a stream of predictions; it never keeps logits."""

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in some rows: their target columns, and what the model said."""

    def metrics(self) -> dict[str, float]:
        """Every metric over the rows so far."""

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Bootstrap interval of one metric."""

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """One metric where each row counts as often as a sample says.

        Args:
            metric: one of :meth:`metrics`.
            weights: of shape (samples, rows).

        Returns:
            An array of shape (samples,); NaN for a sample in which no row counts.
        """

    def concerned(self, metric: str) -> NDArray[np.bool_] | None:
        """The rows that a metric is about, of shape (rows,); None if that is all of them."""

    def merits(self) -> NDArray[np.float64] | None:
        """How good each answer is, of shape (rows,): 1 if right, 0 if wrong; None if that is a
        matter of degree.
        """

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        """Rows of the detail table, such as one per class."""

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """The most confident mistakes: positions in the stream, never text."""

    def matrix(self) -> Facts:
        """``labels``, and ``counts`` by true and by predicted label; empty without labels."""

    def figures(self) -> dict[str, Figure]:
        """Plots by file stem."""

    def learned(self) -> Facts:
        """Settings that these rows teach, such as a threshold; taken from validation only."""

    def signatures(self) -> dict[str, str]:
        """How metrics were computed, where a library says so in a line."""


class Application(Protocol):
    """One NLP problem."""

    name: str
    version: int
    """Raised when a change makes earlier stage outputs wrong."""
    heads: tuple[Head, ...]
    """What a model family must offer, one of these; the first that it has is used."""
    uses: frozenset[str]
    """Of the settings that some applications have no use for, those that this one has."""
    serving: Path
    """The self-contained file that runs the registered model."""

    def columns(self, data: Data) -> tuple[Column, ...]:
        """The columns that rows have."""

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Names of the metrics that it reports."""

    def headline(self, data: Data) -> str:
        """The metric that decides, unless the config names another."""

    def texts(self, config: Pipeline) -> dict[str, str]:
        """Columns that hold text, and the language of each."""

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """Columns that make two rows the same, within a split or across splits."""

    def compared(self, data: Data) -> tuple[str, ...]:
        """Of the columns that make rows the same, those that may be nearly the same."""

    def conflicts(self, data: Data) -> bool:
        """Whether one input can have one target only."""

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Settings that make no sense for it: where, and why."""

    def settings(self, config: Pipeline) -> Facts:
        """What tokenization and training take from the config besides their own sections."""

    def decoding(self, config: Pipeline) -> Facts:
        """What only predictions depend on."""

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Bring raw target values into canonical form, in place.

        ``names`` are label names that the data set itself declares.
        """

    def contract(self, config: Pipeline) -> DataFrameSchema:
        """Checks of single cells, named after their rules."""

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        """What is wrong between the cells of a row."""

    def moved(self, target: Any, rewritten: Mapping[str, Rewritten]) -> Any:
        """The target of a row some of whose texts were rewritten."""

    def brief(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """What the table as a whole is judged by: one small hashable value a row."""

    def learn(self, census: Census, data: Data) -> Facts:
        """What the training rows teach and the model freezes, such as its labels.

        Raises:
            DataError: nothing can be learned from such rows.
        """

    def tally(self, census: Census, facts: Facts) -> Facts:
        """Counts over the final training rows, such as rows per label."""

    def problems(self, census: Census, facts: Facts, minimum: int) -> list[str]:
        """What is wrong with the finished splits as a whole, in words."""

    def misfits(self, config: Pipeline, facts: Facts) -> Iterator[tuple[str, str]]:
        """Settings that do not go with what the rows taught: where, and why."""

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """The columns to store, ready for :meth:`encode`."""

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """Input texts and target texts, for training tokenizers."""

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of each row's inputs and targets, before any cut; no targets if it writes none."""

    def encode(self, rows: Mapping[str, list[Any]], codec: Codec, facts: Facts) -> Encoded:
        """Tokenize a batch of stored rows."""

    def model_arguments(self, facts: Facts) -> dict[str, Any]:
        """Fields of the model's configuration that the problem decides, such as its labels."""

    def begin(self, model: torch.nn.Module, facts: Facts) -> None:
        """Set fresh weights to where training had better start, in place."""

    def objective(self, facts: Facts, loss: Loss) -> Objective:
        """The training loss."""

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad tokenized rows into tensors of shape (rows, longest)."""

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """What the model puts out for a batch, such as logits of shape (rows, classes)."""

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Targets and predictions of a batch, for :class:`Scorer`."""

    def scorer(self, facts: Facts) -> Scorer:
        """A fresh scorer."""

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """What the registered model answered, in the form that :class:`Scorer` takes."""

    def translated(
        self, predictions: pd.DataFrame, theirs: Facts, ours: Facts
    ) -> tuple[pd.DataFrame, Facts]:
        """Another model's answers in terms of this one, and the facts to score them by.

        Args:
            predictions: what the other model answered.
            theirs: the settings of the other model.
            ours: those of this one.

        Raises:
            ValueError: the models solve different problems; the message says how.
        """

    def kinds(self, predictions: pd.DataFrame) -> list[str] | None:
        """The category of each answer of the registered model, where answers have categories."""

    def baseline_name(self, data: Data) -> str:
        """What :meth:`baseline` does, in two or three words."""

    def baseline(self, frame: pd.DataFrame, facts: Facts) -> Predictions:
        """What a trivial method answers for stored rows, in the form that :class:`Scorer` takes."""


def get(name: str) -> Application:
    """Find an application by name; the config has already refused unknown ones."""
    application: Application = importlib.import_module(f"tasks.applications.{name}").APPLICATION
    return application
