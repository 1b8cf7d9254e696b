"""The inputs of a run: the labelled files and the base model."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Pipeline
from tasks.contract.sources import frames
from tasks.contract.sources.frames import Sources
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run starts from.

    Attributes:
        sources: the declared files, with their digests.
        base: the base model.
    """

    sources: Sources
    base: InitialModel


def locate(config: Pipeline) -> Inputs:
    """Find the files and the base model.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """
    base = initial_model.find(config.model, config.application)
    return Inputs(frames.locate(config.data), base)


def require(config: Pipeline) -> None:
    """Fail before any server starts if a file or the base model is missing.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """
    if config.data.dataset is None:
        frames.locate(config.data)
    initial_model.find(config.model, config.application)
