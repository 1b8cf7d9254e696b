"""The pipeline against servers: PostgreSQL, an object store, and logins on both interfaces."""

from __future__ import annotations

import base64
import csv
import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.server.stand import Stand
from tests.support.commands import (
    Done,
    assert_nothing_runs,
    eventually,
    leftovers,
    onestep,
    started,
    succeed,
)
from tests.support.homes import NAME, STEPS
from tests.support.stores import closed_port

pytestmark = pytest.mark.xdist_group("servers")
MEASURES = ["labels", "characters of text", "vocabulary of text", "predictions"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the worker that ran the pipeline."""
    return tmp_path_factory.mktemp("server-mode") / "home"


@pytest.fixture(scope="module")
def record(stand: Stand, home: Path, file: Path) -> dict[str, Any]:
    """What a run against the servers prints."""
    printed: dict[str, Any] = json.loads(succeed(home, "run", file, "--json", extra=stand.worker()))
    return printed


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty home on what could be another machine."""
    return tmp_path / "elsewhere"


def test_the_run_is_on_the_servers_and_not_in_the_home(
    stand: Stand, home: Path, record: dict[str, Any]
) -> None:
    address, _, run = record["mlflow_run"].partition("?")[0].rpartition("/runs/")
    assert address.startswith(f"{stand.worker()['ONESTEP_MLFLOW_UI_URL']}/#/experiments/")
    status = f"SELECT status FROM runs WHERE run_uuid = '{run}'"
    assert stand.query("mlflow", status) == [("FINISHED",)]
    versions = f"SELECT version, run_id FROM model_versions WHERE name = '{NAME}'"
    assert stand.query("mlflow", versions) == [(1, run)]
    losses = f"SELECT step FROM metrics WHERE key = 'train/loss' AND run_uuid = '{run}'"
    steps = sorted(row[0] for row in stand.query("mlflow", losses))
    assert steps == list(range(1, STEPS + 1))
    states = f"SELECT state_name FROM flow_run WHERE name LIKE '{NAME}-%-manual'"
    assert stand.query("prefect", states) == [("Promoted",)]
    assert not (home / "mlflow.db").exists()
    assert not (home / "artifacts").exists()
    assert leftovers(home) == []
    assert_nothing_runs(home)


def test_the_artifacts_are_in_the_object_store(stand: Stand, record: dict[str, Any]) -> None:
    run = record["mlflow_run"].partition("?")[0].rpartition("/")[2]
    sizes = stand.objects()
    found = {name.partition(f"{run}/artifacts/")[2]: sizes[name] for name in sizes}
    weights = "model/artifacts/package/model/model.safetensors"
    assert found[weights] > 100_000
    assert {"model/MLmodel", "validation/report.json", "evaluation/predictions.json"} <= set(found)


def test_every_command_works_from_another_home(
    stand: Stand, record: dict[str, Any], elsewhere: Path, file: Path
) -> None:
    scratch = elsewhere.with_name("scratch")
    scratch.mkdir()
    extra = stand.worker(TMPDIR=str(scratch))
    (shown,) = json.loads(succeed(elsewhere, "models", NAME, "--json", extra=extra))
    assert (shown["uri"], shown["aliases"]) == (f"models:/{NAME}/1", ["champion"])
    assert shown["value"] == record["metrics"]["accuracy"]
    rows = b"text\nthe coffee was wonderful\n"
    answers = succeed(elsewhere, "predict", NAME, stdin=rows, extra=extra)
    assert [row["label"] for row in csv.DictReader(io.StringIO(answers))] == ["positive"]
    drift = json.loads(succeed(elsewhere, "drift", file, "--json", extra=extra))
    assert [measure["name"] for measure in drift["drift"]] == MEASURES
    # A downloaded model is as large as the model; each command has to take its own away.
    assert [path for path in scratch.rglob("*") if path.suffix == ".safetensors"] == []
    assert leftovers(elsewhere) == []


def test_ui_names_the_servers(stand: Stand, elsewhere: Path) -> None:
    user, password = (stand.worker()[f"MLFLOW_TRACKING_{n}"] for n in ("USERNAME", "PASSWORD"))
    address = stand.address("mlflow")
    own = address.replace("//", f"//{user}:{password}@")
    extra = stand.worker(MLFLOW_TRACKING_URI=own, ONESTEP_MLFLOW_UI_URL="")
    with started(elsewhere, "ui", "--json", extra=extra) as running:
        eventually(lambda: running.out.read_text("utf-8").endswith("}\n"), running)
        addresses = json.loads(running.out.read_text("utf-8"))
    assert addresses == {"prefect": stand.worker()["PREFECT_UI_URL"], "mlflow": address}


def refused(done: Done, home: Path, code: int, sentence: str) -> None:
    """A command ended with one sentence and without a trace."""
    assert done.code == code, done.output
    errors = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.output
    assert sentence in errors[0]
    assert "Traceback" not in done.output
    assert not (home / "crash.log").exists()


@pytest.mark.parametrize("command", ["run", "models"])
def test_a_wrong_mlflow_password_is_the_users_mistake(
    stand: Stand, elsewhere: Path, file: Path, command: str
) -> None:
    arguments = ("run", file) if command == "run" else (command,)
    done = onestep(elsewhere, *arguments, extra=stand.worker(MLFLOW_TRACKING_PASSWORD="wrong"))
    refused(done, elsewhere, 2, "MLFLOW_TRACKING_URI: MLflow refuses the login")


def test_a_wrong_prefect_password_is_the_users_mistake(
    stand: Stand, elsewhere: Path, file: Path
) -> None:
    done = onestep(elsewhere, "run", file, extra=stand.worker(PREFECT_API_AUTH_STRING="a:b"))
    refused(done, elsewhere, 2, "PREFECT_API_URL: Prefect refuses the login")


def test_servers_that_are_away_are_a_failure(stand: Stand, elsewhere: Path, file: Path) -> None:
    nobody = f"http://127.0.0.1:{closed_port()}"
    done = onestep(elsewhere, "models", extra=stand.worker(MLFLOW_TRACKING_URI=nobody))
    refused(done, elsewhere, 1, f"cannot connect to {nobody}: MLflow does not answer")
    done = onestep(elsewhere, "run", file, extra=stand.worker(PREFECT_API_URL=f"{nobody}/api"))
    refused(done, elsewhere, 1, f"Prefect does not answer at {nobody}")


def test_an_account_that_may_only_read_is_told_so(
    stand: Stand, record: dict[str, Any], elsewhere: Path, file: Path
) -> None:
    create_account(stand, "reader", "a-long-password")
    account = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": "a-long-password"}
    assert NAME in succeed(elsewhere, "models", extra=stand.worker(**account))
    done = onestep(elsewhere, "run", file, extra=stand.worker(**account))
    refused(done, elsewhere, 2, "this account of MLflow lacks the permission")


def create_account(stand: Stand, name: str, password: str) -> None:
    """Add an account to MLflow, as the administrator."""
    own = stand.worker()
    login = f"{own['MLFLOW_TRACKING_USERNAME']}:{own['MLFLOW_TRACKING_PASSWORD']}"
    request = urllib.request.Request(
        f"{stand.address('mlflow')}/api/2.0/mlflow/users/create",
        json.dumps({"username": name, "password": password}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
        },
    )
    urllib.request.urlopen(request, timeout=30).close()
