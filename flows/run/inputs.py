"""Prepare a run: its labelled files, its base model, and the environment of libraries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Head
from tasks.contract.sources import splits
from tasks.contract.sources.splits import Sources
from tasks.processes import calls
from tasks.processes.calls import CPU_SETTINGS
from tasks.store import digest, storage_errors, write_json
from tasks.training.model import families, initial_model
from tasks.training.model.initial_model import InitialModel
from tasks.workspace import Workspace

VERSION = 3
"""Of the comparison of a model's parts."""
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}


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


def require_fit(base: InitialModel, application: str, workspace: Workspace) -> None:
    """Compare weights, config and tokenizer of a pretrained model, once for each content.

    Raises:
        ModelError: they do not fit each other.
    """
    if base.path is None:
        return
    head = families.choose_head(base.family, application, pair=base.decoder is not None)
    assert head is not None
    record = {"version": VERSION, "base": base.digest, "head": head}
    record["transformers"] = version("transformers")
    done = workspace.root / "bases" / f"{digest(record)[:32]}.json"
    if done.exists():
        return
    calls.call(_check, base, head)
    with storage_errors():
        done.parent.mkdir(parents=True, exist_ok=True)
        write_json(done, record)


def _check(base: InitialModel, head: Head) -> None:
    from tasks.training.model import architecture

    architecture.check(base, head)


def require(config: Pipeline) -> None:
    """Fail as :func:`locate` does, before any server starts, but without digests."""
    splits.require_files(config.data, applications.get(config.application).sources)
    initial_model.find(config.model, config.application)


def look_new(config: Pipeline, file: Path, page: Path) -> bool:
    """Guess from the times of the files, without reading them, whether a run has much to compute.

    The ``page`` is about the latest run of the pipeline.
    """
    paths = [file, *splits.paths(config.data)]
    return not page.exists() or page.stat().st_mtime < max(path.stat().st_mtime for path in paths)


def quiet() -> None:
    """Turn off progress bars, hints and spinning threads, unless the user has set a variable."""
    for name, value in (QUIET | CPU_SETTINGS).items():
        os.environ.setdefault(name, value)
