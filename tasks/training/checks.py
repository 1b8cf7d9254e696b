"""Checks of the training settings that run when the pipeline file is read."""

from __future__ import annotations

from collections.abc import Iterator

from configs.schema import Pipeline
from tasks.applications.shared import losses
from tasks.training.launchers import registry as launchers
from tasks.training.model import families
from tasks.training.optimization import optimizers


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield the field and the reason of each problem."""
    yield from families.check(pipeline)
    if reason := optimizers.refusal(pipeline.training.optimizer.name):
        yield "training.optimizer.name", reason
    if reason := losses.refusal(pipeline.training.loss.name):
        yield "training.loss.name", reason
    if reason := launchers.refusal(pipeline.compute.launcher):
        yield "compute.launcher", reason
