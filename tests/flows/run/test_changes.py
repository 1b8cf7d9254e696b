"""What differs from the previous run of a pipeline."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from configs.schema import Gate, Registry
from flows.run import changes
from flows.run.changes import Changes, RowChange
from tasks.champion import row_hashes
from tasks.champion.comparison import Challenger
from tasks.evaluation import EvaluationResult
from tasks.registration import Origin, register
from tasks.tracking import lineage, runs
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared, prepare
from tests.support.rows import reviews

pytest_plugins = ["tests.support.fixtures"]
pytestmark = [
    pytest.mark.xdist_group("stages"),
    # MLflow's own code, with pandas 3.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]
NEW = [(f"the {name} was wonderful", "positive") for name in ("lake", "moon", "pear")]


@dataclass(frozen=True)
class Runs:
    """Runs of one pipeline, which all train the same model."""

    client: MlflowClient
    now: Challenger

    @property
    def name(self) -> str:
        return self.now.config.name

    def begin(self, fingerprint: str) -> str:
        """Open the MLflow run of a fingerprint."""
        workspace, fingerprint = self.now.workspace, f"{self.name}-{fingerprint}"
        return runs.open_run(self.client, workspace, self.name, fingerprint, "a run")

    def finish(self, fingerprint: str, *, trial: bool = False) -> None:
        """Leave in MLflow what a whole run leaves of what is compared here."""
        run_id, (evaluated, now) = self.begin(fingerprint), (self.now.evaluated, self.now)
        figures = {f"test/{name}": value for name, value in evaluated.metrics.items()}
        runs.log_figures(self.client, run_id, figures, 1)
        runs.log_files(self.client, run_id, evaluated.stored.path, "evaluation")
        made = self.client, evaluated, now.validated
        origin = Origin(f"{self.name}-{fingerprint}", lambda: run_id, {})
        register(now.config, now.workspace, *made, origin, trial=trial)
        self.client.set_terminated(run_id)

    def find(self, fingerprint: str, **changed: Any) -> Changes | None:
        """Compare a run, perhaps of another config or other rows, with the previous one."""
        now, run_id = replace(self.now, **changed), self.begin(fingerprint)
        return changes.find(self.client, now, run_id, f"{self.name}-{fingerprint}")


@pytest.fixture
def pipeline(
    store: tuple[Workspace, MlflowClient],
    prepared: Prepared,
    evaluated: EvaluationResult,
    request: pytest.FixtureRequest,
) -> Runs:
    """A pipeline with the name of the test, whose gate asks for nothing."""
    name = re.sub(r"\W+", "-", request.node.name)[:99]
    update = {"name": name, "registry": Registry(name=name), "gate": Gate(beat_baseline=False)}
    config = prepared.config.model_copy(update=update)
    return Runs(store[1], Challenger(config, store[0], evaluated, prepared.validated))


def test_a_first_run_has_nothing_to_compare_with(pipeline: Runs) -> None:
    assert pipeline.find("a") is None
    pipeline.finish("trial", trial=True)
    pipeline.finish("a")
    assert pipeline.find("a") is None


def test_only_what_differs_is_told(pipeline: Runs) -> None:
    pipeline.finish("a")
    before = pipeline.now.config
    found = pipeline.find("b", config=before.model_copy(update={"seed": 7}))
    assert found is not None
    assert found.model == f"models:/{pipeline.name}/1"
    assert found.config == {"seed": (str(before.seed), "7")}
    assert (found.data, found.labels) == ({}, {})
    assert found.rows == {"training and validation": RowChange(0, 0, 0), "test": RowChange(0, 0, 0)}
    assert found.metrics["accuracy"] == (pipeline.now.evaluated.metrics["accuracy"],) * 2
    assert found.same_test_rows
    assert found.drift.startswith(f"no drift from models:/{pipeline.name}/1")
    assert found.note == (
        f"since models:/{pipeline.name}/1 of {found.time[:10]}: 0 rows added, 0 gone, "
        f"seed {before.seed} -> 7"
    )


def test_rows_are_added_moved_and_gone(pipeline: Runs, base: Path, tmp_path: Path) -> None:
    pipeline.finish("a")
    kept = reviews()[5:]
    splits = {"train": [*kept[20:], *NEW], "test": kept[:20]}
    other = prepare(tmp_path, str(base), splits)
    found = pipeline.find("b", validated=other.validated)
    assert found is not None
    training, test = found.rows.values()
    assert (training.added, test.added) == (len(NEW), 0)
    assert training.gone + test.gone == 5
    assert 0 < test.moved < 20
    assert training.moved > 0
    assert not found.same_test_rows


def test_the_same_run_reads_the_previous_one_once(pipeline: Runs) -> None:
    uri = pipeline.client.get_run(pipeline.begin("a")).info.artifact_uri
    pipeline.finish("a")
    changed = pipeline.now.config.model_copy(update={"seed": 7})
    first = pipeline.find("b", config=changed)
    assert first is not None
    shutil.rmtree(local_file_uri_to_path(uri))
    assert pipeline.find("b", config=changed) == first


def test_the_run_that_ended_last_counts_and_not_the_newest_version(pipeline: Runs) -> None:
    for fingerprint in ("a", "b", "a"):
        pipeline.finish(fingerprint)
    found = pipeline.find("c")
    assert found is not None
    assert found.model.endswith("/1")


def test_what_an_earlier_onestep_did_not_record_is_no_change(pipeline: Runs) -> None:
    pipeline.finish("a")
    client, workspace, run_id = pipeline.client, pipeline.now.workspace, pipeline.begin("a")
    record = runs.read_artifact(client, workspace, run_id, lineage.FILE)
    for name in ("encoding", "sheet"):
        del record["config"]["data"][name]
    client.log_dict(run_id, record, lineage.FILE)
    artifacts = Path(local_file_uri_to_path(client.get_run(run_id).info.artifact_uri))
    (artifacts / row_hashes.TEST).unlink()
    client.set_terminated(run_id)
    data = pipeline.now.config.data.model_copy(update={"sheet": "Mai"})
    found = pipeline.find("b", config=pipeline.now.config.model_copy(update={"data": data}))
    assert found is not None
    assert found.config == {"data.sheet": (None, "Mai")}
    assert found.rows == {}
    assert found.note.endswith(": data.sheet None -> Mai")


def test_a_damaged_version_is_passed_over(pipeline: Runs) -> None:
    pipeline.finish("a")
    pipeline.finish("b")
    broken = pipeline.begin("b")
    pipeline.client.log_text(broken, "{", lineage.FILE)
    pipeline.client.set_terminated(broken)
    found = pipeline.find("c")
    assert found is not None
    assert found.model.endswith("/1")
