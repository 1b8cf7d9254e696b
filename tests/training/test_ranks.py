"""The ranks of a job: who they are, and that they agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import distributed, nn

from configs.errors import WorkerFailure
from tasks.training import ranks
from tasks.training.ranks import ALONE, Rank


class OtherRank:
    """An Accelerator's gathering of two ranks, one of which is some distance away."""

    num_processes = 2

    def __init__(self, distance: float) -> None:
        self.distance = distance

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, values + self.distance])


@pytest.mark.parametrize(
    ("environment", "rank"),
    [({}, ALONE), ({"RANK": "0", "WORLD_SIZE": "2"}, Rank(0, 2)), ({"RANK": "3"}, Rank(3, 1))],
)
def test_a_rank_is_read_from_the_environment(
    environment: dict[str, str], rank: Rank, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Rank.read() == rank


def test_only_the_first_rank_writes() -> None:
    assert [Rank(index, 3).first for index in range(3)] == [True, False, False]


def test_a_world_that_lacks_workers_is_refused() -> None:
    accelerator = Accelerator(cpu=True)
    ranks.require_world(ALONE, accelerator)
    with pytest.raises(WorkerFailure, match="expected 2 workers, as WORLD_SIZE states; found 1"):
        ranks.require_world(Rank(0, 2), accelerator)


@pytest.mark.parametrize("distance", [0.0, 1e-6])
def test_ranks_with_different_weights_are_refused(distance: float) -> None:
    other: Any = OtherRank(distance)
    if distance:
        with pytest.raises(WorkerFailure, match="different weights"):
            ranks.require_same_weights(other, nn.Linear(3, 2))
    else:
        ranks.require_same_weights(other, nn.Linear(3, 2))


def test_the_process_group_is_left_after_an_error() -> None:
    def fail() -> None:
        with ranks.leave_process_group():
            store = distributed.HashStore()
            distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        fail()
    assert not distributed.is_initialized()
