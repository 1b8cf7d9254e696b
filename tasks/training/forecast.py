"""Forecast the cost of a run from a few timed passes over batches of two lengths."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from tasks.trace import span
from tasks.training import batching, hardware
from tasks.training.batching import Ints
from tasks.training.optimization.optimizers import OPTIMIZERS, MatrixUpdate
from tasks.training.optimization.parameter_groups import HIDDEN_MATRICES
from tasks.training.session import Session
from tasks.training.step import backward, to_device

WRITE_BYTES_PER_SECOND = 300e6
WRITTEN = 8
"""Tokens per row that a timed generation produces."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A prediction of the run's cost.

    Attributes:
        training_seconds: all optimizer steps, validations and saves, set-up excluded.
        test_seconds: predicting the test split.
        peak_memory: bytes, of the device or of the training process on a CPU.
    """

    training_seconds: float
    test_seconds: float
    peak_memory: int
    steps: int


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Seconds as a linear function of padded tokens, through two measured points."""

    base: float
    slope: float

    @classmethod
    def through(cls, x: tuple[int, int], y: tuple[float, float]) -> LinearFit:
        """Fit a line; the slope is never negative, and equal points give a proportional line."""
        if x[1] <= x[0] or y[1] <= y[0]:
            return cls(0.0, y[0] / max(x[0], 1))
        slope = min((y[1] - y[0]) / (x[1] - x[0]), y[0] / max(x[0], 1))
        return cls(y[0] - slope * x[0], slope)

    def total(self, tokens: Ints) -> float:
        """Sum over batches."""
        return float(self.base * len(tokens) + self.slope * tokens.sum())


@span("forecast")
def measure(session: Session) -> Forecast:
    """Time forward and backward passes without an update; the training state stays unchanged."""
    lengths = session.splits["train"].lengths
    batches = [rows for step in session.plan(0) for rows in step]
    order = np.argsort(batching.padded_tokens(batches, lengths), kind="stable")
    typical, longest = batches[order[len(order) // 2]], longest_batch(session)
    with untouched(session):
        _pass(session, typical)
        seconds = (
            _quickest(lambda: _pass(session, typical)),
            _quickest(lambda: _pass(session, longest)),
        )
        forward = _quickest(lambda: _forward(session, typical))
        writing = [_token_seconds(session, typical, beams) for beams in (1, session.job.beams)]
    pair = batching.padded_tokens([typical, longest], lengths)
    line = LinearFit.through((int(pair[0]), int(pair[1])), seconds)
    return _assemble(session, line, forward / int(pair[0]), writing)


def longest_batch(session: Session) -> Ints:
    """The longest rows that fill a batch: the most expensive batch of any epoch."""
    lengths = session.splits["train"].lengths
    return batching.by_length(lengths, session.training.batch_size)[0]


def _assemble(
    session: Session, line: LinearFit, seconds_per_token: float, writing: list[float]
) -> Forecast:
    training, lengths = session.training, session.splits["train"].lengths
    seconds = 0.0
    for epoch in range(training.epochs):
        batches = [rows for step in session.plan(epoch) for rows in step]
        seconds += line.total(batching.padded_tokens(batches, lengths))
    seconds += session.total_steps * _update_seconds(session)
    validation = _pass_tokens(session, "validation") * seconds_per_token
    validation += _longest_targets(session, "validation") * writing[0]
    saving = _bytes(session) / WRITE_BYTES_PER_SECOND
    seconds += training.epochs * (validation + saving)
    test = _pass_tokens(session, "test") * seconds_per_token
    test += _longest_targets(session, "test") * writing[1]
    # The first update adds the moments to the peak of the longest batch.
    peak = hardware.peak_memory(session.learner.accelerator.device) + moment_bytes(session)
    return Forecast(seconds, test, peak, session.total_steps)


def _pass_tokens(session: Session, split: str) -> int:
    lengths = session.splits[split].lengths
    plan = batching.by_length(lengths, session.job.evaluation_batch)
    return int(batching.padded_tokens(plan, lengths).sum())


def _token_seconds(session: Session, rows: Ints, beams: int) -> float:
    """Seconds to generate one token per row; 0 for models that generate no text."""
    if not session.codec.max_target_length:
        return 0.0
    view = session.view("train")
    short = replace(session.codec, max_target_length=WRITTEN)
    view = replace(view, codec=short, facts=replace(view.facts, num_beams=beams))
    learner = session.learner
    learner.model.eval()
    batch = to_device(session.batch("train", rows), learner.accelerator)
    empty = torch.empty(0)

    def write() -> None:
        with torch.no_grad(), learner.accelerator.autocast():
            session.application.learning.infer(learner.result, empty, batch, view)

    return _timed(write) / WRITTEN / len(rows)


def _longest_targets(session: Session, split: str) -> int:
    """Target tokens of a pass with padding, which the time of generation depends on."""
    if not session.codec.max_target_length:
        return 0
    data = session.splits[split]
    targets = batching.list_lengths(data.table, "labels")
    plan = batching.by_length(data.lengths, session.job.evaluation_batch)
    return int(batching.padded_tokens(plan, targets).sum())


def _bytes(session: Session) -> int:
    return sum(_size(p) for p in session.learner.model.parameters())


def _size(parameter: torch.Tensor) -> int:
    return parameter.numel() * parameter.element_size()


def moment_bytes(session: Session) -> int:
    """Bytes of optimizer state for the trainable parameters."""
    factory = OPTIMIZERS.load(session.training.optimizer.name)
    matrices = factory.matrices or factory
    return sum(
        (matrices if group[HIDDEN_MATRICES] else factory).moments * sum(map(_size, group["params"]))
        for group in session.learner.optimizer.param_groups
    )


def _update_seconds(session: Session) -> float:
    """Time a pass over the weights, as updates are memory-bound; add matrix computations."""
    learner = session.learner
    weights = sum(_size(p) for p in learner.model.parameters() if p.requires_grad)
    touched = weights + moment_bytes(session)
    if learner.average is not None:
        touched += _bytes(session)
    values = torch.zeros(weights // 4, device=learner.accelerator.device)
    seconds = 2 * touched / weights * _timed(lambda: values.add_(1.0))
    return seconds + _matrix_seconds(session)


def _matrix_seconds(session: Session) -> float:
    """Seconds of the optimizer's computations on hidden matrices, timed once per shape."""
    update = OPTIMIZERS.load(session.training.optimizer.name).matrices
    if update is None:
        return 0.0
    groups = [g for g in session.learner.optimizer.param_groups if g[HIDDEN_MATRICES]]
    shapes = Counter(p.shape for group in groups for p in group["params"])
    return sum(
        count * _quickest(partial(_update_matrix, session, update, shape))
        for shape, count in shapes.items()
    )


def _update_matrix(session: Session, update: MatrixUpdate, shape: torch.Size) -> None:
    update.compute(torch.ones(shape, device=session.learner.accelerator.device))
    _wait(session)


def _pass(session: Session, rows: Ints) -> None:
    learner = session.learner
    learner.model.train()
    batch = to_device(session.batch("train", rows), learner.accelerator)
    backward(learner, batch, learner.objective.weight(batch))
    _wait(session)


@torch.no_grad()
def _forward(session: Session, rows: Ints) -> None:
    learner = session.learner
    learner.model.eval()
    batch = to_device(session.batch("train", rows), learner.accelerator)
    with learner.accelerator.autocast():
        learner.forward(learner.model, batch)
    _wait(session)


def _wait(session: Session) -> None:
    if session.learner.accelerator.device.type == "cuda":
        torch.cuda.synchronize()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _quickest(work: Callable[[], object]) -> float:
    """The faster of two runs: other load on the machine only adds time."""
    return min(_timed(work), _timed(work))


@contextmanager
def untouched(session: Session) -> Iterator[None]:
    """Clear the gradients and restore the random state after the block."""
    device = session.learner.accelerator.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    session.learner.optimizer.zero_grad(set_to_none=True)
