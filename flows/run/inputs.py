"""The inputs of a run: the labelled files and the base model."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.contract.sources import splits
from tasks.contract.sources.splits import Sources
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel


@dataclass(frozen=True, slots=True)
class Inputs:
    """The declared files with their digests, and the base model."""

    sources: Sources
    base: InitialModel


def locate(config: Pipeline) -> Inputs:
    """Find the files and the base model.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """
    base = initial_model.find(config.model, config.application)
    sources = splits.locate(config.data, applications.get(config.application).sources)
    return Inputs(sources, base)


def require(config: Pipeline) -> None:
    """Fail as :func:`locate` does, before any server starts, but without digests."""
    splits.require_files(config.data, applications.get(config.application).sources)
    initial_model.find(config.model, config.application)
