"""Build everything that a training process needs, from its job."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from configs.schema import Training
from tasks import arrow
from tasks.applications import registry as applications
from tasks.applications.base import Application, Batch, Facts, View
from tasks.applications.codec import Codec
from tasks.arrow import MappedTable
from tasks.trace import span
from tasks.training import batching, hardware, ranks
from tasks.training.batching import Ints
from tasks.training.job import Job
from tasks.training.model import adapters, families, layers
from tasks.training.model.build import build as build_model
from tasks.training.optimization import lr_scheduler, optimizers
from tasks.training.ranks import ALONE, Rank
from tasks.training.step import Learner, weight_average

TARGET = "target"
"""Subfolder of a model with the tokenizer of its targets, if that differs from the inputs'."""


@dataclass(frozen=True)
class Split:
    """A tokenized split: its memory-mapped rows, and the tokens of each."""

    table: MappedTable
    lengths: Ints

    @classmethod
    def open(cls, path: Path) -> Split:
        table = arrow.MappedTable(path)
        return cls(table, batching.lengths_of(table))


@dataclass(frozen=True)
class Session:
    """A training process after its set-up; ``splits`` are tokenized."""

    job: Job
    folder: Path
    application: Application
    learner: Learner
    codec: Codec
    splits: dict[str, Split]
    rank: Rank = ALONE

    @property
    def training(self) -> Training:
        return self.job.training

    @property
    def facts(self) -> Facts:
        return self.application.facts.read(self.job.facts)

    @cached_property
    def precision(self) -> hardware.Precision:
        return "bf16" if self.learner.accelerator.mixed_precision == "bf16" else "fp32"

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.training.epochs * _steps_per_epoch(self.training, self.splits["train"])

    def plan(self, epoch: int) -> list[list[Ints]]:
        """Row positions of each batch of each optimizer step of an epoch."""
        training, lengths = self.training, self.splits["train"].lengths
        batches = batching.plan_epoch(lengths, training.batch_size, self.job.seed, epoch)
        return batching.plan_steps(batches, training.gradient_accumulation_steps)

    def batch(self, split: str, rows: Ints) -> Batch:
        """Fetch and pad some rows."""
        table = self.splits[split].table.take(rows)
        batch = self.application.tokens.collate(table, self.codec)
        return batch | {"row": torch.from_numpy(table["row"].to_numpy().astype("int64"))}

    def view(self, split: str) -> View:
        """Tokenizers, rows and facts that predictions for a split may use."""
        rows = arrow.MappedTable(Path(self.job.rows) / f"{split}.arrow")
        return View(self.codec, rows, self.facts)

    def save_tokenizers(self, folder: Path) -> None:
        """Save the tokenizers of inputs and targets in a model folder."""
        self.codec.tokenizer.save_pretrained(folder)
        if self.codec.target is not self.codec.tokenizer:
            self.codec.target.save_pretrained(folder / TARGET)


def seed_everything(seed: int) -> None:
    """Seed every random generator that a model may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@span("build model")
def build(job: Job, folder: Path, rank: Rank = ALONE) -> Session:
    """Load data, tokenizer and model, and build optimizer and schedule."""
    application = applications.get(job.application)
    training = job.training
    hardware.use_threads(job.threads)
    device = hardware.choose_device(job.device)
    declared = families.usable_precision(job.spec.base, training.precision)
    precision = hardware.choose_precision(declared, device)
    splits = {
        name: Split.open(Path(job.tokens) / f"{name}.arrow")
        for name in ("train", "validation", "test")
    }
    seed_everything(job.seed)
    codec = job.spec.codec()
    facts = application.facts.read(job.facts)
    model = _model(job, application, facts, codec, device)
    accelerator = Accelerator(
        cpu=device.type == "cpu", mixed_precision="bf16" if precision == "bf16" else "no"
    )
    ranks.require_world(rank, accelerator)
    model = model.to(accelerator.device)
    optimizer = optimizers.build(model, training)
    total = training.epochs * _steps_per_epoch(training, splits["train"])
    prepared = accelerator.prepare_model(model)
    learner = Learner(
        model=prepared,
        forward=application.learning.forward,
        objective=application.learning.objective(facts, training.loss),
        optimizer=optimizer,
        schedule=lr_scheduler.build(optimizer, training.lr_scheduler, total),
        accelerator=accelerator,
        max_grad_norm=training.max_grad_norm,
        average=weight_average(accelerator.unwrap_model(prepared), training.ema_decay),
    )
    return Session(job, folder, application, learner, codec, splits, rank)


def _model(
    job: Job, application: Application, facts: Facts, codec: Codec, device: torch.device
) -> nn.Module:
    """Load the model and decide which of its weights are trained."""
    training = job.training
    kernels = hardware.attention_kernels(job.model.attn_implementation, device)
    arguments = application.learning.model_arguments(facts)
    built = build_model(job.spec, job.model, codec, arguments, kernels)
    application.learning.initialize(built.model, facts)
    layers.freeze(built.model, training.frozen_layers)
    model = adapters.attach(built.model, training.adapter, built.fresh)
    if training.gradient_checkpointing:
        layers.recompute_activations(model)
    return model


def _steps_per_epoch(training: Training, split: Split) -> int:
    rows, accumulation = len(split.lengths), training.gradient_accumulation_steps
    return batching.steps_per_epoch(rows, training.batch_size, accumulation)
