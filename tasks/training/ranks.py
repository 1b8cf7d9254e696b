"""The rank of a worker in its job, from torchrun's environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import WorkerFailure
from configs.language import _

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn


@dataclass(frozen=True, slots=True)
class Rank:
    """One worker of a job; the index is from 0."""

    index: int = 0
    world_size: int = 1

    @classmethod
    def read(cls) -> Rank:
        """Read ``RANK`` and ``WORLD_SIZE`` from the environment."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def first(self) -> bool:
        """Whether this worker writes the events, the checkpoints and the best model."""
        return self.index == 0


ALONE = Rank()
"""The only worker of its job."""


@contextmanager
def leave_process_group() -> Iterator[None]:
    """Leave the process group, if one was joined in the block."""
    try:
        yield
    finally:
        import torch.distributed

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def require_world(rank: Rank, accelerator: Accelerator) -> None:
    """Require that all workers of the job are connected.

    Raises:
        WorkerFailure: the number of connected workers is not ``WORLD_SIZE``.
    """
    if accelerator.num_processes != rank.world_size:
        message = _(
            "expected {expected} workers, as WORLD_SIZE states; found {found}",
            expected=rank.world_size,
            found=accelerator.num_processes,
        )
        raise WorkerFailure(message)


def require_same_weights(accelerator: Accelerator, model: nn.Module) -> None:
    """Compare the weights of all ranks.

    Raises:
        WorkerFailure: they differ.
    """
    import torch

    if accelerator.num_processes == 1:
        return
    sums = torch.stack([p.detach().double().sum() for p in model.parameters()])
    gathered = accelerator.gather(sums[None])
    if not torch.equal(gathered, sums.expand_as(gathered)):
        raise WorkerFailure(_("the workers hold different weights"))
