"""The job of a training process: a JSON file that the stage writes and the worker reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from configs.schema import Model, Training
from tasks.store import write_json
from tasks.training.model.spec import ModelSpec

FILE = "job.json"
BEST = "best"
"""Folder with the weights of the best epoch."""
PREFLIGHT = "preflight.json"
"""The report of a preflight."""


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning, fully described; fields that sections have mean the same here.

    Attributes:
        mode: ``train``, or ``preflight`` for exactly one optimizer step.
        facts: what the application derived from the training rows, such as labels.
        rows: folder with the validated splits.
        tokens: folder with the tokenized splits.
        primary_metric: the metric that chooses the best checkpoint.
        extra_metrics: metrics of installed packages to compute on the validation split.
        evaluation_batch: rows per prediction batch.
        beams: width of the served model's beam search.
    """

    mode: Literal["train", "preflight"]
    application: str
    facts: dict[str, Any]
    rows: str
    tokens: str
    spec: ModelSpec
    model: Model
    training: Training
    seed: int
    primary_metric: str
    extra_metrics: list[str]
    device: str
    threads: int | None
    evaluation_batch: int
    beams: int
    energy: bool

    def write(self, folder: Path) -> None:
        """Write the job to a folder."""
        write_json(folder / FILE, TypeAdapter(Job).dump_python(self, mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read and validate the job of a folder."""
        return TypeAdapter(Job).validate_json((folder / FILE).read_bytes())
