"""What dead processes left behind is put right, once, and nothing of a living one is touched."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.reconciling import WHY, reconcile
from tasks import claims
from tasks.tracking import registry, runs
from tasks.tracking.relay import STEP_METRICS
from tasks.tracking.runs import FINGERPRINT
from tasks.tracking.step_sender import StepSender
from tasks.training.events import EventLog
from tasks.workspace import Workspace

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("serving")

HOLDER = """
import sys, time
from pathlib import Path
from tasks.claims import claimed

with claimed(Path(sys.argv[1])) as claim:
    for line in sys.argv[2:]:
        kind, *pairs = line.split()
        claim.note(kind, **dict(pair.split("=") for pair in pairs))
    print("held", flush=True)
    time.sleep(60)
"""
Store = tuple[Workspace, MlflowClient]


class Holder:
    """A process of its own that claims runs."""

    def __init__(self, workspace: Workspace, *entries: str) -> None:
        command = [sys.executable, "-c", HOLDER, str(workspace.locks), *entries]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def fingerprint(request: pytest.FixtureRequest) -> str:
    """What no other test has."""
    return re.sub(r"\W+", "-", request.node.name).ljust(64, "0")


def opened(store: Store, fingerprint: str) -> str:
    workspace, client = store
    return runs.open_run(client, workspace, "reviews", fingerprint, "a run")


def status(store: Store, run_id: str) -> str:
    return str(store[1].get_run(run_id).info.status)


def log_steps(folder: Path, last: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with EventLog(folder) as log:
        for step in range(1, last + 1):
            values = dict.fromkeys(STEP_METRICS, float(step))
            log.append("step", step=step, epoch=1.0, samples=8, **values)


def claim_of(fingerprint: str, folder: Path | None = None) -> list[str]:
    entries = [f"mlflow_run experiment=reviews fingerprint={fingerprint}"]
    return entries + ([f"events folder={folder} fingerprint={fingerprint}"] if folder else [])


@pytest.mark.parametrize("name", ["key.partial", "key"])
def test_a_dead_run_is_killed_and_gets_its_metrics(
    store: Store, fingerprint: str, tmp_path: Path, name: str
) -> None:
    """Also if the folder of the training got its final name just before."""
    workspace, client = store
    run_id = opened(store, fingerprint)
    log_steps(tmp_path / name, 5)
    holder = Holder(workspace, *claim_of(fingerprint, tmp_path / "key.partial"))
    assert not reconcile(workspace, client).note
    assert status(store, run_id) == "RUNNING"
    holder.kill()
    found = reconcile(workspace, client)
    assert (found.killed, found.sent) == ([run_id], [run_id])
    assert "1 MLflow runs marked as killed" in found.note
    assert status(store, run_id) == "KILLED"
    history = client.get_metric_history(run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(n, n) for n in range(1, 6)]
    again = reconcile(workspace, client)
    assert again.note == ""
    assert list(claims.folder(workspace.locks).iterdir()) == []


def test_a_run_that_a_living_process_has_taken_up_is_left_alone(
    store: Store, fingerprint: str
) -> None:
    workspace, client = store
    run_id = opened(store, fingerprint)
    dead, living = (Holder(workspace, *claim_of(fingerprint)) for _ in range(2))
    dead.kill()
    assert reconcile(workspace, client).killed == []
    assert status(store, run_id) == "RUNNING"
    living.kill()
    assert reconcile(workspace, client).killed == [run_id]


def test_a_run_that_another_home_writes_is_left_alone(
    store: Store, fingerprint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, client = store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)
    here, other = (Workspace.open(tmp_path / name) for name in ("here", "other"))
    run_id = opened(store, fingerprint)
    writer = StepSender(client, other, fingerprint)
    assert writer.take(run_id)
    log_steps(tmp_path / "key.partial", 5)
    Holder(here, *claim_of(fingerprint, tmp_path / "key.partial")).kill()
    assert reconcile(here, client).note == ""
    assert status(store, run_id) == "RUNNING"
    writer.release()
    found = reconcile(here, client)
    assert (found.killed, found.sent) == ([run_id], [run_id])
    assert len(client.get_metric_history(run_id, "train/loss")) == 5


def test_a_process_that_died_before_it_opened_its_run_left_nothing(
    store: Store, fingerprint: str
) -> None:
    workspace, client = store
    Holder(workspace, *claim_of(fingerprint)).kill()
    Holder(workspace, "mlflow_run experiment=never-made fingerprint=x").kill()
    assert reconcile(workspace, client).note == ""


def test_a_run_that_has_ended_stays_as_it_ended(store: Store, fingerprint: str) -> None:
    workspace, client = store
    run_id = opened(store, fingerprint)
    client.set_terminated(run_id, "FAILED")
    Holder(workspace, *claim_of(fingerprint)).kill()
    assert reconcile(workspace, client).killed == []
    assert status(store, run_id) == "FAILED"


def version(store: Store, model: str, fingerprint: str, verdict: str = "") -> int:
    run_id = opened(store, fingerprint)
    tags = {FINGERPRINT: fingerprint} | ({registry.VERDICT: verdict} if verdict else {})
    made = registry.create(store[1], model, f"runs:/{run_id}/model", run_id, tags)
    return int(made.version)


def verdicts(store: Store, model: str) -> dict[int, str]:
    found = registry.versions(store[1], model)
    return {int(v.version): v.tags.get(registry.VERDICT, "") for v in found}


def test_a_half_made_version_is_withdrawn_once_a_later_one_is_settled(store: Store) -> None:
    workspace, client = store
    model = "half-made"
    version(store, model, "half-1")
    assert reconcile(workspace, client, [model]).withdrawn == []
    version(store, model, "half-2", "promoted")
    assert reconcile(workspace, client, [model], {"half-1"}).withdrawn == []
    with ExitStack() as stack:
        holder = Holder(workspace, *claim_of("half-1"))
        stack.callback(holder.kill)
        assert reconcile(workspace, client, [model]).withdrawn == []
    assert reconcile(workspace, client, [model]).withdrawn == [f"{model}/1"]
    assert verdicts(store, model) == {1: WHY, 2: "promoted"}
    assert reconcile(workspace, client, [model]).note == ""


def test_a_version_that_is_served_is_not_withdrawn(store: Store) -> None:
    workspace, client = store
    model = "in-use"
    version(store, model, "served-1")
    version(store, model, "served-2", "promoted")
    client.set_registered_model_alias(model, "champion", "1")
    assert reconcile(workspace, client, [model]).withdrawn == []


def test_leftovers_are_swept(store: Store, fingerprint: str) -> None:
    workspace, client = store
    names = (f"register-{fingerprint[:32]}", "register-dead", "young", "old")
    folders = [workspace.temporary / name for name in names]
    for folder in folders:
        folder.mkdir()
        (folder / "file").touch()
    week_ago = time.time() - 8 * 86_400
    os.utime(folders[3], (week_ago, week_ago))
    partial = workspace.root / "stages" / "tokenization" / "key.partial"
    partial.mkdir(parents=True)
    os.utime(partial, (week_ago, week_ago))
    holder = Holder(workspace, *claim_of(fingerprint))
    swept = reconcile(workspace, client).swept
    assert sorted(swept) == sorted(str(path) for path in (folders[1], folders[3], partial))
    assert [folder.exists() for folder in folders] == [True, False, True, False]
    holder.kill()
    assert reconcile(workspace, client).swept == [str(folders[0])]
    folders[2].joinpath("file").unlink()
    folders[2].rmdir()
