"""Champions that cannot be compared with a new model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from tasks.champion.comparison import APPLICATION, PROBLEM, Challenger, compare
from tasks.evaluation import EvaluationResult
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


@pytest.fixture
def challenger(
    prepared: Prepared, evaluated: EvaluationResult, store: tuple[Workspace, MlflowClient]
) -> Challenger:
    return Challenger(prepared.config, store[0], evaluated, prepared.validated)


def champion(**tags: str) -> ModelVersion:
    """A version that is served, without artifacts."""
    made = [ModelVersionTag(f"onestep.{key}", value) for key, value in tags.items()]
    return ModelVersion("reviews", "7", 0, run_id="0" * 32, tags=made)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"application": "topics"}, "version 7 has another application"),
        ({"problem": "multiple"}, "version 7 has another labelling or language"),
    ],
)
def test_another_problem_is_named_and_does_not_run(
    challenger: Challenger, tags: dict[str, str], words: str
) -> None:
    ours = {APPLICATION: "sentiment", PROBLEM: "single"}
    found = compare(challenger, champion(**tags), ours)
    assert found.other_problem
    assert words in found.problem


def test_other_test_rows_are_not_compared(challenger: Challenger) -> None:
    other = replace(challenger, evaluated=replace(challenger.evaluated, holdout="other rows"))
    found = compare(other, champion(), {})
    assert "test rows are no longer those" in found.problem
    assert not found.other_problem


def test_a_champion_without_a_model_is_a_result(
    challenger: Challenger, store: tuple[Workspace, MlflowClient]
) -> None:
    run_id = store[1].create_run("0").info.run_id
    version = ModelVersion("reviews", "7", 0, run_id=run_id)
    found = compare(challenger, version, {})
    assert "the champion, version 7, cannot be run: FileNotFoundError" in found.problem
