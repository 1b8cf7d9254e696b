"""What a training process is told: one JSON file, written by the stage, read by the worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from configs.schema import Model, Training
from tasks.store import read_json, write_json
from tasks.training.model.start import Start

FILE = "job.json"
BEST = "best"
"""Folder with the weights of the best epoch."""
PREFLIGHT = "preflight.json"
"""What a preflight found."""


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning, fully described.

    Attributes:
        mode: ``train``, or ``preflight`` for exactly one optimizer step.
        application: the application's name.
        facts: what the model freezes, such as labels.
        rows: folder with the validated splits.
        tokens: folder with the tokenized splits.
        start: weights, tokenizers and lengths to start from.
        model: the ``model`` section.
        training: the ``training`` section.
        seed: of the batches, the head's initial weights and the dropout.
        primary_metric: the metric that chooses the best checkpoint.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads, or None for one per core.
        evaluation_batch: rows in one prediction batch.
        beams: of the search that the served model makes.
        energy: whether to estimate the energy that training uses.
    """

    mode: Literal["train", "preflight"]
    application: str
    facts: dict[str, Any]
    rows: str
    tokens: str
    start: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]
    seed: int
    primary_metric: str
    device: str
    threads: int | None
    evaluation_batch: int
    beams: int
    energy: bool

    @property
    def training_section(self) -> Training:
        """The ``training`` section, validated."""
        return Training.model_validate(self.training, strict=False)

    @property
    def model_section(self) -> Model:
        """The ``model`` section, validated."""
        return Model.model_validate(self.model, strict=False)

    @property
    def beginning(self) -> Start:
        """What to start from."""
        return Start(**{**self.start, "languages": tuple(self.start["languages"])})

    def write(self, folder: Path) -> None:
        """Write the job for a worker to find."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read the job of a folder."""
        record = read_json(folder / FILE)
        return cls(**{field.name: record[field.name] for field in fields(cls)})
