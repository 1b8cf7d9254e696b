"""What an application is: everything that varies with the NLP problem, and nothing else.

A stage calls these methods and never asks which application it has. To add one, write
``tasks/applications/NAME.py`` with a module-level ``APPLICATION`` and a YAML that names it.
Heavy libraries are imported inside the methods, so that listing applications costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from matplotlib.figure import Figure
    from pandera.pandas import DataFrameSchema
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from configs.schema import Data, Loss

Head = Literal["sequence-classification", "question-answering", "seq2seq", "causal"]
Facts = dict[str, Any]
Batch = dict[str, "torch.Tensor"]
Predictions = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """An input column by its canonical name.

    Attributes:
        name: the name that the application uses; ``data.columns`` maps it to the file's.
        kind: ``text`` is shown to the model, ``target`` is what it learns.
    """

    name: str
    kind: Literal["text", "target"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokenized rows.

    Attributes:
        columns: equally long lists, among them ``input_ids``.
        truncated: how many rows were cut to the maximum length.
    """

    columns: dict[str, Sequence[Any]]
    truncated: int


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
    """Metrics of a stream of predictions; it keeps a few numbers a row, never logits."""

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in some rows: their target columns, and what the model said."""

    def metrics(self) -> dict[str, float]:
        """Every metric over the rows so far."""

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Bootstrap interval of one metric."""

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        """Rows of the detail table, such as one per class."""

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """The most confident mistakes: positions in the stream, never text."""

    def figures(self) -> dict[str, Figure]:
        """Plots by file stem."""


class Application(Protocol):
    """One NLP problem."""

    name: str
    version: int
    """Raised when a change makes earlier stage outputs wrong."""
    head: Head
    """What a model family must offer."""
    columns: tuple[Column, ...]
    metrics: tuple[str, ...]
    headline: str
    serving: Path
    """The self-contained file that decodes model outputs in the registered model."""

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Bring raw target values into canonical form, in place.

        ``names`` are label names that the data set itself declares.
        """

    def contract(self, data: Data) -> DataFrameSchema:
        """Checks of single rows; a row that fails one is set aside."""

    def learn(self, frame: pd.DataFrame, data: Data) -> Facts:
        """What the training rows teach and the model freezes, such as its labels.

        Raises:
            DataError: nothing can be learned from such rows.
        """

    def problems(self, splits: Mapping[str, pd.DataFrame], facts: Facts, minimum: int) -> list[str]:
        """What is wrong with the finished splits as a whole, in words."""

    def strata(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """The column to keep balanced when splitting, if there is one."""

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """The columns to store, ready for :meth:`encode`."""

    def encode(
        self, rows: Mapping[str, list[Any]], tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Encoded:
        """Tokenize a batch of stored rows."""

    def load_model(self, base: Path, facts: Facts, options: Mapping[str, Any]) -> PreTrainedModel:
        """Load the base model with this application's head, in float32."""

    def objective(self, facts: Facts, loss: Loss) -> Objective:
        """The training loss."""

    def collate(self, table: pa.Table, pad_id: int) -> Batch:
        """Pad tokenized rows into tensors of shape (rows, longest)."""

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """What the model puts out for a batch, such as logits of shape (rows, classes)."""

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Targets and predictions of a batch, for :class:`Scorer`."""

    def scorer(self, facts: Facts) -> Scorer:
        """A fresh scorer."""

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """What the registered model answered, in the form that :class:`Scorer` takes."""


def get(name: str) -> Application:
    """Find an application by name; the config has already refused unknown ones."""
    application: Application = importlib.import_module(f"tasks.applications.{name}").APPLICATION
    return application
