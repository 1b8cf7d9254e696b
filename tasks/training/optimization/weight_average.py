"""A moving average of the weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def build(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """An exponential moving average of the weights that starts at those of the first step.

    Buffers are not averaged: the copy has the current ones.
    """
    if decay is None:
        return None
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=update)
    average.requires_grad_(False)
    return average
