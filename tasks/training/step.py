"""One optimizer step: the unit of training.

The loop repeats it, preflight takes it once, a resumed run continues after it, and every launcher
runs this same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tasks.applications.base import Batch, Objective


@dataclass(frozen=True, slots=True)
class Learner:
    """The state of a training.

    Attributes:
        forward: computes the outputs that the objective takes from model and batch.
        accelerator: device, precision and gradient synchronization.
        max_grad_norm: bound of the global gradient norm, or None.
        average: moving average of the weights, or None.
    """

    model: nn.Module
    forward: Callable[[nn.Module, Batch], torch.Tensor]
    objective: Objective
    optimizer: Optimizer
    schedule: LRScheduler
    accelerator: Accelerator
    max_grad_norm: float | None
    average: AveragedModel | None = None

    @property
    def result(self) -> nn.Module:
        """The model to validate and keep: the average if there is one, without wrappers."""
        if self.average is not None:
            return self.average.module
        model: nn.Module = self.accelerator.unwrap_model(self.model)
        return model


@dataclass(frozen=True, slots=True)
class StepReport:
    """The figures of one optimizer step.

    Attributes:
        loss: mean loss over the targets, before the update, in nats.
        grad_norm: global L2 norm of the gradients, before clipping.
        learning_rate: the highest rate of this update, which is that of the head.
        tokens: tokens, padding not counted.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    samples: int
    tokens: int


def optimizer_step(learner: Learner, batches: Sequence[Batch]) -> StepReport:
    """Accumulate the gradients of some batches and update the learner once, in place.

    The loss is the mean over the targets of all batches together, so that accumulating k batches
    is the same step as one batch of their size.

    Raises:
        FloatingPointError: the loss or the gradient is not finite; nothing was updated.
    """
    learner.model.train()
    batches = [to_device(batch, learner.accelerator) for batch in batches]
    weight = torch.stack([learner.objective.weight(batch) for batch in batches]).sum()
    loss = torch.zeros((), device=weight.device)
    for batch in batches:
        loss += backward(learner, batch, weight)
    grad_norm = clip(learner)
    values: list[float] = torch.stack([loss, grad_norm]).tolist()
    if not all(map(math.isfinite, values)):
        learner.optimizer.zero_grad(set_to_none=True)
        raise FloatingPointError(f"loss {values[0]} and gradient norm {values[1]}")
    rate = max(map(float, learner.schedule.get_last_lr()))
    learner.optimizer.step()
    learner.schedule.step()
    if learner.average is not None:
        learner.average.update_parameters(learner.model)
    learner.optimizer.zero_grad(set_to_none=True)
    samples = sum(len(batch["input_ids"]) for batch in batches)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    return StepReport(values[0], values[1], rate, samples, tokens)


def backward(learner: Learner, batch: Batch, weight: torch.Tensor) -> torch.Tensor:
    """Add one batch's share of the gradient; return its share of the loss."""
    with learner.accelerator.autocast():
        outputs = learner.forward(learner.model, batch)
        share = learner.objective.total(outputs, batch) / weight
    learner.accelerator.backward(share)
    return share.detach()


def clip(learner: Learner) -> torch.Tensor:
    """Clip the global gradient norm; return the norm before clipping."""
    limit = float("inf") if learner.max_grad_norm is None else learner.max_grad_norm
    parameters = [p for p in learner.model.parameters() if p.grad is not None]
    return nn.utils.clip_grad_norm_(parameters, limit).detach()


def to_device(batch: Batch, accelerator: Accelerator) -> Batch:
    """Copy a batch to the device asynchronously."""
    return {
        name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()
    }


def weight_average(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """An exponential moving average of the weights that starts at those of the first step.

    Buffers are not averaged: the copy has the current ones.
    """
    if decay is None:
        return None
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=update)
    average.requires_grad_(False)
    return average
