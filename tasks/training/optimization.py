"""Optimizer, learning-rate schedule and weight-decay groups, as declared."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from configs.schema import Schedule, Training

NORMALIZATIONS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
OWN_NORMALIZATIONS = ("LayerNorm", "RMSNorm")
"""How Transformers names the normalizations that a family brings itself, such as T5's."""


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters: biases and normalization weights are not decayed."""
    exempt = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if name == "bias" or _normalizes(module)
    }
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for n, p in trainable if n not in exempt], "weight_decay": weight_decay},
        {"params": [p for n, p in trainable if n in exempt], "weight_decay": 0.0},
    ]


def _normalizes(module: nn.Module) -> bool:
    return isinstance(module, NORMALIZATIONS) or type(module).__name__.endswith(OWN_NORMALIZATIONS)


def build_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The declared optimizer, fused where torch has a fused kernel for the device."""
    declared = training.optimizer
    groups = decay_groups(model, declared.weight_decay)
    if declared.name == "sgd":
        return torch.optim.SGD(groups, lr=training.learning_rate, momentum=declared.betas[0])
    return torch.optim.AdamW(
        groups,
        lr=training.learning_rate,
        betas=declared.betas,
        eps=declared.epsilon,
        fused=next(model.parameters()).device.type in {"cpu", "cuda"},
    )


def factor(schedule: Schedule, step: int, total: int) -> float:
    """Learning rate at a step, as a share of the peak.

    Args:
        schedule: its name and warm-up share.
        step: optimizer steps done.
        total: optimizer steps of the whole run.

    Returns:
        The same values as ``get_linear_schedule_with_warmup``,
        ``get_cosine_schedule_with_warmup`` and ``get_constant_schedule_with_warmup`` of
        Transformers.
    """
    warmup = math.ceil(schedule.warmup * total)
    if step < warmup:
        return step / max(1, warmup)
    if schedule.name == "constant":
        return 1.0
    done = (step - warmup) / max(1, total - warmup)
    if schedule.name == "cosine":
        return max(0.0, 0.5 * (1 + math.cos(math.pi * done)))
    return max(0.0, 1 - done)


def build_schedule(optimizer: torch.optim.Optimizer, training: Training, total: int) -> LambdaLR:
    """The declared schedule over ``total`` optimizer steps."""
    return LambdaLR(optimizer, lambda step: factor(training.schedule, step, total))
