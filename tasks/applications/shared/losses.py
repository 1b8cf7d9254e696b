"""Losses as sums over targets, for objectives that divide by their own weight.

A loss by name is a function from the ``training.loss`` section to a :class:`TargetLoss`. To add
one, add it to ``LOSSES``, or name it in an entry point of the group ``onestep.losses``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from configs.training import Loss
from tasks.applications.scoring import Batch
from tasks.extensions import Extensions

if TYPE_CHECKING:
    import torch


IGNORED: Final = -100
"""The label of a token without a target, such as padding."""


class TargetLoss(Protocol):
    """The losses of all targets together."""

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        *,
        weights: torch.Tensor | None = None,
        ignore_index: int = -100,
    ) -> torch.Tensor:
        """The weighted sum, a scalar, as :func:`cross_entropy_sum`."""


def of(loss: Loss) -> TargetLoss:
    """The loss that the ``training.loss`` section names, with its settings."""
    return LOSSES.load(loss.name)(loss)


def of_even_guess(loss: TargetLoss, classes: int) -> float:
    """The loss of a target where every class is equally probable, in nats for cross-entropy."""
    import torch

    return float(loss(torch.zeros(1, classes), torch.zeros(1, dtype=torch.int64)))


def cross_entropy_sum(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float | None = None,
    ignore_index: int = -100,
) -> torch.Tensor:
    """Cross-entropy or focal loss of all targets together, computed in float32 or better.

    The focal loss is ``(1 - p_t)^gamma * CE(p_t)``, with class weights as alpha (Lin et al. 2017,
    equation 5); gamma 0 is cross-entropy.

    Args:
        logits: shape (..., classes).
        targets: class indices of shape (...).
        weights: of the classes, shape (classes,).
        label_smoothing: probability mass spread evenly over all classes.
        focal_gamma: how strongly easy targets are weighed down; None is cross-entropy.
        ignore_index: the target that is left out.

    Returns:
        A scalar, in nats.
    """
    import torch
    from torch.nn.functional import cross_entropy

    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    logits, targets = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    losses = cross_entropy(
        logits,
        targets,
        weight=None if weights is None else weights.to(logits),
        ignore_index=ignore_index,
        reduction="sum" if focal_gamma is None else "none",
        label_smoothing=label_smoothing,
    )
    if focal_gamma is None:
        return losses
    surprise = cross_entropy(logits, targets, ignore_index=ignore_index, reduction="none")
    # 1 - p_t without cancellation; at 0 the power of a gamma below 1 has no finite slope.
    missing = -torch.expm1(-surprise)
    missing = missing.clamp_min(torch.finfo(logits.dtype).tiny)
    return (missing**focal_gamma * losses).sum()


def _cross_entropy(loss: Loss) -> TargetLoss:
    return partial(cross_entropy_sum, label_smoothing=loss.label_smoothing)


def _focal(loss: Loss) -> TargetLoss:
    return partial(
        cross_entropy_sum, label_smoothing=loss.label_smoothing, focal_gamma=loss.focal_gamma
    )


LOSSES: Final[Extensions[Callable[[Loss], TargetLoss]]] = Extensions(
    "onestep.losses", {"cross_entropy": _cross_entropy, "focal": _focal}
)


class RowObjective:
    """An objective whose weight is the number of rows."""

    def weight(self, batch: Batch) -> torch.Tensor:
        import torch

        rows = next(iter(batch.values()))
        return torch.tensor(float(len(rows)), device=rows.device)


class TargetObjective:
    """An objective over targets with classes, with one of the losses."""

    def __init__(self, loss: TargetLoss) -> None:
        self.loss = loss

    def expected_initial(self, outputs: torch.Tensor) -> float:
        """The loss of an even guess over the classes, which are the last dimension."""
        return of_even_guess(self.loss, outputs.shape[-1])


class TokenLoss(TargetObjective):
    """A loss over tokens with labels of shape (rows, tokens), tokens without a target left out."""

    def weight(self, batch: Batch) -> torch.Tensor:
        return (batch["labels"] != IGNORED).sum().float()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.loss(outputs, batch["labels"], ignore_index=IGNORED)
