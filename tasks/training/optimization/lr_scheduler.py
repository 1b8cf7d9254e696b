"""The learning-rate schedule, from the functions of Transformers and torch."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from configs.training import LrScheduler

NAMES: Final = {"constant": "constant_with_warmup"}
"""Names that Transformers has for schedules, where they differ from ours."""


def build(optimizer: Optimizer, declared: LrScheduler, total: int) -> LRScheduler:
    """Build the declared schedule over all steps; it scales the peak rate of each group."""
    from transformers import get_scheduler

    if declared.name == "one_cycle":
        return OneCycle(optimizer, declared.warmup_ratio, total)
    warmup = math.ceil(declared.warmup_ratio * total)
    time_scale = {"timescale": max(1, warmup)} if declared.name == "inverse_sqrt" else None
    schedule: LRScheduler = get_scheduler(
        NAMES.get(declared.name, declared.name),
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=total,
        scheduler_specific_kwargs=time_scale,
    )
    return schedule


class OneCycle(OneCycleLR):
    """Half-cosine warm-up and decay, without cycling the momentum (Smith 2018).

    Torch's scheduler divides by zero if the warm-up is exactly one step long, and after the last
    step if the warm-up is as long as the run.
    """

    def __init__(self, optimizer: Optimizer, warmup: float, total: int) -> None:
        peaks = [group["lr"] for group in optimizer.param_groups]
        share = warmup * (1 - 1e-14) if warmup * total == 1 else warmup
        super().__init__(optimizer, peaks, total_steps=total, pct_start=share, cycle_momentum=False)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group for the next update; constant after the last one."""
        if self.last_epoch < self.total_steps:
            return super().get_lr()
        return [group["lr"] for group in self.optimizer.param_groups]
