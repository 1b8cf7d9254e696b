"""Build everything that a training process needs, from its job."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from configs.schema import Training
from tasks import arrow
from tasks.applications import base as applications
from tasks.applications.base import Application, Batch, Facts
from tasks.arrow import MappedTable
from tasks.training import batching, hardware, optimization
from tasks.training.base_model import load_tokenizer
from tasks.training.batching import Ints
from tasks.training.job import Job
from tasks.training.step import Learner


@dataclass(frozen=True)
class Split:
    """A tokenized split.

    Attributes:
        table: memory-mapped rows.
        lengths: tokens of each row.
    """

    table: MappedTable
    lengths: Ints

    @classmethod
    def open(cls, path: Path) -> Split:
        """Map a tokenized split into memory."""
        table = arrow.MappedTable(path)
        return cls(table, batching.lengths_of(table))


@dataclass(frozen=True)
class Session:
    """A training process after its set-up.

    Attributes:
        job: what it was told.
        folder: where it writes.
        application: the NLP problem.
        learner: model, loss, optimizer, schedule.
        tokenizer: the base model's.
        splits: the tokenized splits.
    """

    job: Job
    folder: Path
    application: Application
    learner: Learner
    tokenizer: Any
    splits: dict[str, Split]

    @property
    def training(self) -> Training:
        """The ``training`` section."""
        return self.job.training_section

    @property
    def facts(self) -> Facts:
        """What the training rows taught."""
        return self.job.facts

    @cached_property
    def precision(self) -> hardware.Precision:
        """The compute precision that is in use."""
        return "bf16" if self.learner.accelerator.mixed_precision == "bf16" else "fp32"

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.training.epochs * _steps_per_epoch(self.training, self.splits["train"])

    def plan(self, epoch: int) -> list[list[Ints]]:
        """Row positions of each batch of each optimizer step of an epoch."""
        training, lengths = self.training, self.splits["train"].lengths
        batches = batching.plan_epoch(lengths, training.batch_size, training.seed, epoch)
        return batching.plan_steps(batches, training.gradient_accumulation_steps)

    def batch(self, split: str, rows: Ints) -> Batch:
        """Fetch and pad some rows."""
        table = self.splits[split].table.take(rows)
        return self.application.collate(table, self.tokenizer.pad_token_id)


def seed_everything(seed: int) -> None:
    """Seed every random generator that a model may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def build(job: Job, folder: Path) -> Session:
    """Load data, tokenizer and model, and build optimizer and schedule."""
    application = applications.get(job.application)
    training = job.training_section
    hardware.use_threads(job.threads)
    device = hardware.choose_device(job.device)
    precision = hardware.choose_precision(training.precision, device)
    splits = {
        name: Split.open(Path(job.tokens) / f"{name}.arrow")
        for name in ("train", "validation", "test")
    }
    seed_everything(training.seed)
    model = application.load_model(Path(job.base), job.facts, _model_options(job, device))
    accelerator = Accelerator(
        cpu=device.type == "cpu", mixed_precision="bf16" if precision == "bf16" else "no"
    )
    model = model.to(accelerator.device)
    optimizer = optimization.build_optimizer(model, training)
    total = training.epochs * _steps_per_epoch(training, splits["train"])
    learner = Learner(
        model=accelerator.prepare_model(model),
        forward=application.forward,
        objective=application.objective(job.facts, training.loss),
        optimizer=optimizer,
        schedule=optimization.build_schedule(optimizer, training, total),
        accelerator=accelerator,
        max_grad_norm=training.max_grad_norm,
    )
    return Session(
        job, folder, application, learner, load_tokenizer(Path(job.base), whole=True), splits
    )


def _steps_per_epoch(training: Training, split: Split) -> int:
    rows, accumulation = len(split.lengths), training.gradient_accumulation_steps
    return batching.steps_per_epoch(rows, training.batch_size, accumulation)


def _model_options(job: Job, device: torch.device) -> dict[str, Any]:
    section = job.model_section
    options: dict[str, Any] = {
        "attn_implementation": hardware.choose_attention(section.attention, device)
    }
    if section.dropout is not None:
        options |= _dropout(job.base, section.dropout)
    return options


def _dropout(base: str, probability: float) -> dict[str, float]:
    """Every dropout field that the base model's configuration has."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, local_files_only=True).to_dict()
    return {
        name: probability
        for name, value in config.items()
        if ("dropout" in name or "pdrop" in name) and isinstance(value, int | float | None)
    }
