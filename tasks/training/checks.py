"""Checks of the training settings that run when the pipeline file is read."""

from __future__ import annotations

from collections.abc import Iterator

from configs.schema import Pipeline
from tasks.applications.shared.losses import LOSSES
from tasks.training.launchers import LAUNCHERS
from tasks.training.model import families
from tasks.training.optimization.optimizers import OPTIMIZERS


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield the field and the reason of each problem."""
    yield from families.check(pipeline)
    named = {
        "training.optimizer.name": OPTIMIZERS.refusal(pipeline.training.optimizer.name),
        "training.loss.name": LOSSES.refusal(pipeline.training.loss.name),
        "compute.launcher": LAUNCHERS.refusal(pipeline.compute.launcher),
    }
    yield from ((field, reason) for field, reason in named.items() if reason)
