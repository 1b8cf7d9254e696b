"""Optimizer, its parameter groups, learning-rate schedule and weight average, as declared."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from configs.schema import LrScheduler, Training
from tasks.training.model import layers

NORMALIZATIONS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
OWN_NORMALIZATIONS = ("LayerNorm", "RMSNorm")
"""How Transformers names the normalizations that a family brings itself, such as T5's."""
ONE_CYCLE_START = 1 / 25
"""Share of the peak that ``one_cycle`` starts from, as in torch and fastai."""
ONE_CYCLE_END = ONE_CYCLE_START / 1e4
"""Share of the peak that ``one_cycle`` ends at."""

Groups = list[dict[str, Any]]


def parameter_groups(model: nn.Module, training: Training) -> Groups:
    """Split trainable parameters by learning rate, weight decay and kind of update.

    Biases and normalization weights are not decayed. A parameter below ``d`` layers learns at
    ``learning_rate * layerwise_lr_decay ** d`` (Howard and Ruder 2018); the layers of a decoder are
    counted from its own top.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and, for matrices that ``muon`` makes
        orthogonal, ``use_muon``; none is empty.
    """
    declared = training.optimizer
    lengths = layers.stacks(name for name, _ in model.named_parameters())
    exempt, embeddings = _parameters_of(model, _normalizes), _parameters_of(model, _embeds)
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = layers.depth(name, lengths) if declared.layerwise_lr_decay < 1 else 0
        rate = training.learning_rate * declared.layerwise_lr_decay**depth
        plain = name in exempt or name.rsplit(".", 1)[-1] == "bias"
        decay = 0.0 if plain else declared.weight_decay
        hidden = parameter.ndim == 2 and name not in embeddings and layers.layer_of(name)
        muon = declared.name == "muon" and bool(hidden)
        group = {"params": [], "lr": rate, "weight_decay": decay, "use_muon": muon}
        groups.setdefault((rate, decay, muon), group)["params"].append(parameter)
    return list(groups.values())


def _parameters_of(model: nn.Module, wanted: Callable[[nn.Module], bool]) -> set[str]:
    """Names of the parameters that some modules hold themselves."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if wanted(module)
        for name, _ in module.named_parameters(recurse=False)
    }


def _normalizes(module: nn.Module) -> bool:
    return isinstance(module, NORMALIZATIONS) or type(module).__name__.endswith(OWN_NORMALIZATIONS)


def _embeds(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding)


def build_optimizer(model: nn.Module, training: Training) -> Optimizer:
    """The declared optimizer, fused where torch has a fused kernel for the device."""
    groups = parameter_groups(model, training)
    if training.optimizer.name == "muon":
        return _muon(groups, training)
    for group in groups:
        del group["use_muon"]
    build = {
        "adafactor": _adafactor,
        "adam": _adam,
        "adamw": _adam,
        "lion": _lion,
        "sgd": _sgd,
    }[training.optimizer.name]
    return build(groups, training)


def _adam(groups: Groups, training: Training) -> Optimizer:
    declared = training.optimizer
    kind = torch.optim.AdamW if declared.name == "adamw" else torch.optim.Adam
    fused = groups[0]["params"][0].device.type in {"cpu", "cuda"}
    return kind(groups, betas=declared.betas, eps=declared.epsilon, fused=fused)


def _sgd(groups: Groups, training: Training) -> Optimizer:
    return torch.optim.SGD(groups, momentum=training.optimizer.betas[0])


def _adafactor(groups: Groups, training: Training) -> Optimizer:
    """With the declared rate instead of one that follows the step and the weights."""
    from transformers.optimization import Adafactor

    optimizer: Optimizer = Adafactor(  # type: ignore[no-untyped-call]
        groups,
        lr=training.learning_rate,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )
    return optimizer


def _lion(groups: Groups, training: Training) -> Optimizer:
    from pytorch_optimizer import Lion

    return Lion(groups, lr=training.learning_rate, betas=training.optimizer.betas)


def _muon(groups: Groups, training: Training) -> Optimizer:
    """Updates of matrices are scaled to the size of AdamW's (Liu et al. 2025, equation 4)."""
    from pytorch_optimizer import Muon

    declared = training.optimizer
    for group in groups:
        if group["use_muon"]:
            group |= {"momentum": declared.betas[0], "use_adjusted_lr": True}
        else:
            group |= {"betas": declared.betas, "eps": declared.epsilon}
    return Muon(groups)


def factor(schedule: LrScheduler, step: int, total: int) -> float:
    """Learning rate at a step, as a share of the peak.

    Args:
        schedule: its name and warm-up share.
        step: optimizer steps done.
        total: optimizer steps of the whole run.

    Returns:
        The same values as the schedules with warm-up of Transformers (``get_linear_schedule…``,
        ``get_cosine_schedule…``, ``get_constant_schedule…``, and ``get_inverse_sqrt_schedule``
        with the warm-up as its time scale), and as ``OneCycleLR`` of torch.
    """
    if schedule.name == "one_cycle":
        return _one_cycle(schedule.warmup_ratio, min(step, total - 1), total)
    warmup = math.ceil(schedule.warmup_ratio * total)
    if step < warmup:
        return step / max(1, warmup)
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "inverse_sqrt":
        scale = max(1, warmup)
        return math.sqrt(scale / (step - warmup + scale))
    done = (step - warmup) / max(1, total - warmup)
    if schedule.name == "cosine":
        return max(0.0, 0.5 * (1 + math.cos(math.pi * done)))
    return max(0.0, 1 - done)


def _one_cycle(warmup: float, step: int, total: int) -> float:
    """Up and down along half cosines, without cycling the momentum (Smith 2018)."""
    top = warmup * total - 1
    if step <= top:
        return _half_cosine(ONE_CYCLE_START, 1.0, step / top if top else 1.0)
    return _half_cosine(1.0, ONE_CYCLE_END, (step - top) / (total - 1 - top))


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


def build_schedule(optimizer: Optimizer, training: Training, total: int) -> LambdaLR:
    """The declared schedule over ``total`` optimizer steps, of each group's own peak."""
    return LambdaLR(optimizer, lambda step: factor(training.lr_scheduler, step, total))


def build_average(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """An exponential moving average of the weights that starts at those of the first step.

    Buffers are not averaged: the copy has the current ones.
    """
    if decay is None:
        return None
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=update)
    average.requires_grad_(False)
    return average
