"""Fixtures over real stage outputs; a test module asks for them with ``pytest_plugins``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file

from tasks.evaluation import EvaluationResult, evaluate
from tasks.finetuning import FinetuningResult, finetune
from tasks.training import session
from tasks.training.session import Session
from tasks.workspace import Workspace
from tests.support.models import tiny_bert
from tests.support.pipelines import Prepared, Start, prepare
from tests.support.rows import reviews
from tests.support.stores import embedded_store


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pretrained model."""
    return tiny_bert(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Prepared:
    """Validated and tokenized reviews."""
    return prepare(tmp_path_factory.mktemp("reviews"), str(base), {"train": reviews()})


@pytest.fixture(scope="session")
def tuned(prepared: Prepared) -> FinetuningResult:
    """The tiny model, fine-tuned by the stage."""
    return finetune(
        prepared.config,
        prepared.workspace,
        prepared.validated,
        prepared.tokenized,
        prepared.base,
    )


@pytest.fixture(scope="session")
def evaluated(prepared: Prepared, tuned: FinetuningResult) -> EvaluationResult:
    """The fine-tuned model, measured and packaged by the stage."""
    return evaluate(
        prepared.config, prepared.workspace, prepared.validated, prepared.tokenized, tuned
    )


@pytest.fixture(scope="session")
def constant(
    prepared: Prepared, tuned: FinetuningResult, tmp_path_factory: pytest.TempPathFactory
) -> EvaluationResult:
    """The same model with a head that gives one answer to everything."""
    folder = tmp_path_factory.mktemp("constant") / "tuned"
    shutil.copytree(tuned.stored.path, folder)
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    changed = {k: v * 0 if k.startswith("classifier.weight") else v for k, v in weights.items()}
    path.unlink()
    save_file(changed, path, metadata={"format": "pt"})
    other = replace(tuned, stored=replace(tuned.stored, path=folder), model="constant")
    return evaluate(
        prepared.config, prepared.workspace, prepared.validated, prepared.tokenized, other
    )


@pytest.fixture(scope="session")
def store_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an MLflow database, which takes seconds to create."""
    root = tmp_path_factory.mktemp("mlflow")
    with embedded_store(root):
        return root


@pytest.fixture(scope="module")
def store(store_root: Path) -> Iterator[tuple[Workspace, MlflowClient]]:
    """A workspace and its embedded MLflow store."""
    with embedded_store(store_root) as opened:
        yield opened


@pytest.fixture
def start(prepared: Prepared, tmp_path: Path) -> Start:
    """Build a training process in this process; without dropout unless a test asks for it."""

    def build(
        *, dropout: float = 0.0, primary_metric: str = "accuracy", **training: object
    ) -> Session:
        job = prepared.job(dropout=dropout, primary_metric=primary_metric, **training)
        return session.build(job, tmp_path)

    return build
