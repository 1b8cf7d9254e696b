"""A home with any name, a home that was moved, and an experiment that was deleted."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import mlflow.pyfunc
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.experiments import commands

from configs.errors import UserError
from tasks.tracking import registry, runs
from tasks.workspace import Workspace
from tests.support.stores import embedded_store

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
SPECIAL = "a?b#c%41&d=e;f [g]{h} $i 'j' é😀"
CODE = """
import mlflow

class Length(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params=None):
        return [len(text) for text in model_input]

mlflow.models.set_model(Length())
"""


def register(workspace: Workspace, client: MlflowClient, folder: Path) -> str:
    """Register a model with a file of its run; return the id of the run."""
    run_id = runs.open_run(client, workspace, "relocated", "f", "a run")
    client.log_text(run_id, "<p>", "report.html")
    code = folder / "length.py"
    code.write_text(CODE)
    mlflow.pyfunc.save_model(folder / "model", python_model=str(code), pip_requirements=[])
    runs.log_folder(client, run_id, folder / "model", "model")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    registry.create(client, "relocated", source, run_id, {})
    return run_id


def lengths(workspace: Workspace, client: MlflowClient) -> list[int]:
    version = client.get_model_version("relocated", "1")
    found: list[int] = runs.load_model(workspace, version).predict(["a", "bcd"])
    return found


def test_a_home_may_have_any_name_and_be_moved(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = tmp_path / SPECIAL / "mlruns", tmp_path / "elsewhere"
    (tmp_path / "made").mkdir()
    shutil.copytree(store_root, first)
    with embedded_store(first) as (workspace, client):
        run_id = register(workspace, client, tmp_path / "made")
        assert lengths(workspace, client) == [1, 3]
    assert {path.name for path in tmp_path.iterdir()} == {SPECIAL, "made"}
    first.rename(second)
    with embedded_store(second) as (workspace, client):
        assert lengths(workspace, client) == [1, 3]
        assert runs.open_run(client, workspace, "relocated", "f", "a run") == run_id
        assert runs.has_artifact(client, run_id, "report.html")
        new = runs.open_run(client, workspace, "relocated", "g", "another run")
        client.log_text(new, "<p>", "report.html")
    assert not first.exists()
    assert len([*second.rglob("report.html")]) == 2


def test_a_deleted_experiment_is_refused_until_it_is_restored(
    store: tuple[Workspace, MlflowClient],
) -> None:
    workspace, client = store
    runs.open_run(client, workspace, "deleted", "f", "a run")
    number = client.get_experiment_by_name("deleted").experiment_id  # type: ignore[union-attr]
    client.delete_experiment(number)
    with pytest.raises(UserError) as caught:
        runs.open_run(client, workspace, "deleted", "f", "a run")
    command = str(caught.value).split("`")[1]
    setting, *words = shlex.split(command)
    name, _, value = setting.partition("=")
    assert words[:2] == ["mlflow", "experiments"]
    done = CliRunner().invoke(commands, words[2:], env={name: value})
    assert done.exit_code == 0, done.output
    assert runs.open_run(client, workspace, "deleted", "f", "a run")


@pytest.mark.parametrize("version", ["9" * 10, "9" * 5000])
def test_a_version_number_that_no_database_takes_is_unknown(
    store: tuple[Workspace, MlflowClient], version: str
) -> None:
    from configs.errors import ModelError

    with pytest.raises(ModelError):
        registry.look_up(store[1], registry.Reference.parse(f"relocated/{version}"))
