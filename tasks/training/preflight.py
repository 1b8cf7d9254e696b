"""Preflight: take one optimizer step on the longest batch and report on its parts."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from tasks.applications.base import Batch
from tasks.training import forecast, hardware
from tasks.training.session import Session
from tasks.training.step import optimizer_step

ZERO_AT_FIRST = ".lora_A."
"""The second matrix of a low-rank adapter starts at zero, so the first one has no gradient yet."""
LAYER = re.compile(r"^(.*?\.\d+)(\.|$)")


def inspect(session: Session) -> dict[str, Any]:
    """Take one step and report on it, in JSON values.

    They are the step's loss beside the expected one, gradient norm by layer group, dead and frozen
    parameters, seconds, peak memory, and the forecast of the whole run.
    """
    predicted = forecast.measure(session)
    rows = forecast.longest_batch(session)
    norms = GradientNorms(session.learner.model)
    started = time.perf_counter()
    shapes: list[torch.Size] = []

    def forward(model: nn.Module, batch: Batch) -> torch.Tensor:
        outputs = session.learner.forward(model, batch)
        shapes.append(outputs.shape)
        return outputs

    learner = replace(session.learner, forward=forward)
    report = optimizer_step(learner, [session.batch("train", rows)])
    seconds = time.perf_counter() - started
    device = session.learner.accelerator.device
    return {
        "loss": report.loss,
        "expected_loss": learner.objective.expected_initial(torch.empty(shapes[0], device="meta")),
        "grad_norm": report.grad_norm,
        "grad_norm_by_group": norms.by_group(),
        "dead": norms.dead(),
        "frozen": norms.frozen(),
        "rows": report.samples,
        "longest": int(session.splits["train"].lengths.max()),
        "seconds": seconds,
        "peak_memory": hardware.peak_memory(device),
        "device": str(device),
        "precision": session.precision,
        "threads": torch.get_num_threads(),
        "forecast": asdict(predicted),
    }


def group_of(name: str) -> str:
    """The layer that a parameter belongs to: up to its first number, else its module."""
    if match := LAYER.match(name):
        return match.group(1)
    return name.rsplit(".", 1)[0]


class GradientNorms:
    """Squared gradient norms of each parameter, read as backward accumulates them."""

    def __init__(self, model: nn.Module) -> None:
        self.squares: dict[str, float] = {}
        self.parameters = dict(model.named_parameters())
        for name, parameter in self.parameters.items():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    self._reader(name)
                )

    def _reader(self, name: str) -> Any:
        def read(parameter: torch.Tensor) -> None:
            assert parameter.grad is not None
            self.squares[name] = float(parameter.grad.detach().float().pow(2).sum())

        return read

    def by_group(self) -> dict[str, float]:
        """L2 norm by layer group, in the model's order."""
        sums: dict[str, float] = defaultdict(float)
        for name in self.parameters:
            if name in self.squares:
                sums[group_of(name)] += self.squares[name]
        return {group: square**0.5 for group, square in sums.items()}

    def dead(self) -> list[str]:
        """Trainable parameters without a gradient, or with a zero gradient."""
        silent = [
            name
            for name, parameter in self.parameters.items()
            if parameter.requires_grad and not self.squares.get(name)
        ]
        return [name for name in silent if ZERO_AT_FIRST not in name or name not in self.squares]

    def frozen(self) -> list[str]:
        """Parameters that training does not change."""
        return [name for name, parameter in self.parameters.items() if not parameter.requires_grad]
