from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.tracking import runs
from tasks.tracking.client import connect
from tasks.tracking.relay import STEP_METRICS, Relay
from tasks.tracking.step_sender import TAG, StepSender
from tasks.training import events
from tasks.training.events import EventLog
from tasks.workspace import Workspace
from tests.support.stores import closed_port
from tests.support.workers import wait_until

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")

PATIENCE = 100.0
SILENCE = 4.0
RELAYING = """
import sys, time
from pathlib import Path
from tasks.tracking.client import connect
from tasks.tracking.relay import Relay
from tasks.workspace import Workspace
from tasks.tracking.step_sender import TAG, StepSender

home, run_id, silence = sys.argv[1:]
workspace = Workspace.open(Path(home))
client = connect(workspace)
writer = StepSender(client, workspace, "a fingerprint", float(silence))
Relay(client, lambda: run_id, workspace.root, writer, print).start()
time.sleep(600)
"""


@pytest.fixture
def run_id(store: tuple[Workspace, MlflowClient], request: pytest.FixtureRequest) -> str:
    """The MLflow run of one test."""
    workspace, client = store
    return runs.open_run(client, workspace, "relays", request.node.name, "a run")


@pytest.fixture
def relay(
    store: tuple[Workspace, MlflowClient], run_id: str, tmp_path: Path
) -> Callable[[], Relay]:
    """Make a relay from the log in ``tmp_path`` to the run."""
    workspace, client = store

    def make() -> Relay:
        writer = StepSender(client, workspace, "a fingerprint")
        return Relay(client, lambda: run_id, tmp_path, writer, pytest.fail)

    return make


def log_steps(
    folder: Path, first: int, last: int, every: int = 1000, started: float = 1000.0
) -> None:
    """Append steps, a second each, and a validation every so many of them."""
    with EventLog(folder) as log:
        for step in range(first, last + 1):
            values = {key: step + index / 10 for index, key in enumerate(STEP_METRICS)}
            values["time"] = started + step
            log.append("step", step=step, epoch=step / every, samples=8, **values)
            if step % every == 0:
                metrics = {"accuracy": step / 100, "loss": 1 / step, "log_loss": float("nan")}
                log.append("validation", step=step, time=started + step, metrics=metrics)


def sent(client: MlflowClient, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client.get_metric_history(run_id, metric)]


def test_every_step_arrives_once(
    store: tuple[Workspace, MlflowClient], run_id: str, relay: Callable[[], Relay], tmp_path: Path
) -> None:
    client = store[1]
    working = relay().start()
    log_steps(tmp_path, 1, 450, every=150)
    assert working.close(PATIENCE)
    for index, name in enumerate(STEP_METRICS.values()):
        expected = [(step, step + index / 10) for step in range(1, 451)]
        assert sent(client, run_id, name) == expected
    assert sent(client, run_id, "validation/accuracy") == [(150, 1.5), (300, 3.0), (450, 4.5)]
    assert sent(client, run_id, "validation/log_loss") == []


def test_times_are_those_of_the_log(
    store: tuple[Workspace, MlflowClient], run_id: str, relay: Callable[[], Relay], tmp_path: Path
) -> None:
    log_steps(tmp_path, 1, 3)
    assert relay().start().close(PATIENCE)
    found = store[1].get_metric_history(run_id, "train/loss")
    assert [metric.timestamp for metric in found] == [1_001_000, 1_002_000, 1_003_000]


def test_second_relay_sends_only_what_is_new(
    store: tuple[Workspace, MlflowClient], run_id: str, relay: Callable[[], Relay], tmp_path: Path
) -> None:
    client = store[1]
    log_steps(tmp_path, 1, 7, every=5)
    assert relay().start().close(PATIENCE)
    assert relay().start().close(PATIENCE)
    log_steps(tmp_path, 8, 12, every=5)
    assert relay().start().close(PATIENCE)
    assert [step for step, _ in sent(client, run_id, "train/loss")] == list(range(1, 13))
    assert [step for step, _ in sent(client, run_id, "validation/loss")] == [5, 10]


@pytest.mark.parametrize("sent_before", [True, False])
def test_steps_that_a_resumed_worker_repeats_arrive_once(
    store: tuple[Workspace, MlflowClient],
    run_id: str,
    relay: Callable[[], Relay],
    tmp_path: Path,
    sent_before: bool,
) -> None:
    client = store[1]
    log_steps(tmp_path, 1, 6, every=5)
    if sent_before:
        assert relay().start().close(PATIENCE)
    with EventLog(tmp_path) as log:
        log.append("resumed", step=3, epoch=0)
    log_steps(tmp_path, 4, 11, every=5, started=5000)
    assert relay().start().close(PATIENCE)
    assert [step for step, _ in sent(client, run_id, "train/loss")] == list(range(1, 12))
    assert [step for step, _ in sent(client, run_id, "validation/loss")] == [5, 10]


def test_run_that_does_not_exist_is_an_error(
    store: tuple[Workspace, MlflowClient], tmp_path: Path
) -> None:
    workspace, client = store
    log_steps(tmp_path, 1, 2)
    writer = StepSender(client, workspace, "a fingerprint")
    relay = Relay(client, lambda: "0" * 32, tmp_path, writer, pytest.fail)
    assert not relay.start().close(PATIENCE)
    assert "not found" in str(relay.error)


def test_unreachable_server_leaves_the_log_to_a_later_relay(
    store: tuple[Workspace, MlflowClient],
    run_id: str,
    relay: Callable[[], Relay],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    workspace = Workspace.open(tmp_path / "mlruns")
    assert not workspace.embedded
    unreachable = connect(workspace)
    troubles: list[str] = []
    over = threading.Event()

    def open_run() -> str:
        if over.is_set():
            raise MlflowException("the test is over")
        return runs.open_run(unreachable, workspace, "relays", "a fingerprint", "a run")

    log_steps(tmp_path, 1, 20, every=10)
    logged = (tmp_path / events.FILE).read_bytes()
    writer = StepSender(unreachable, workspace, "a fingerprint")
    waiting = Relay(unreachable, open_run, tmp_path, writer, troubles.append).start()
    wait_until(lambda: bool(troubles))
    assert not waiting.close(0.5)
    assert waiting.error is None
    over.set()
    assert len(troubles) == 1
    assert "training goes on" in troubles[0]
    assert (tmp_path / events.FILE).read_bytes() == logged
    assert relay().start().close(PATIENCE)
    assert [step for step, _ in sent(store[1], run_id, "train/loss")] == list(range(1, 21))
    assert [step for step, _ in sent(store[1], run_id, "validation/accuracy")] == [10, 20]


@pytest.fixture
def elsewhere(
    store: tuple[Workspace, MlflowClient], run_id: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], Relay]:
    """Make a relay in a home of its own, which only shares the store with the others."""
    workspace, client = store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)

    def make(home: Path) -> Relay:
        own = Workspace.open(home)
        assert not own.embedded
        writer = StepSender(client, own, "a fingerprint", SILENCE)
        return Relay(client, lambda: run_id, own.root, writer, pytest.fail)

    return make


def assert_each_step_once(client: MlflowClient, run_id: str, last: int, every: int) -> None:
    for name in STEP_METRICS.values():
        found = [step for step, _ in sent(client, run_id, name)]
        assert sorted(found) == list(range(1, last + 1))
    for name in ("validation/loss", "validation/accuracy"):
        found = [step for step, _ in sent(client, run_id, name)]
        assert sorted(found) == list(range(every, last + 1, every))


def test_one_of_two_relays_of_a_home_sends(
    store: tuple[Workspace, MlflowClient], run_id: str, relay: Callable[[], Relay], tmp_path: Path
) -> None:
    first, second = relay().start(), relay()
    log_steps(tmp_path, 1, 10, every=5)
    wait_until(lambda: len(sent(store[1], run_id, "train/loss")) == 10)
    second.start()
    log_steps(tmp_path, 11, 20, every=5)
    assert second.close(0.5) is False
    assert first.close(PATIENCE)
    assert second.close(PATIENCE)
    assert_each_step_once(store[1], run_id, 20, 5)


def test_one_of_two_homes_sends_and_the_other_goes_on_when_it_has_ended(
    store: tuple[Workspace, MlflowClient],
    run_id: str,
    elsewhere: Callable[[Path], Relay],
    tmp_path: Path,
) -> None:
    client, one, two = store[1], tmp_path / "one", tmp_path / "two"
    first, second = elsewhere(one).start(), elsewhere(two)
    wait_until(first.sends)
    second.start()
    log_steps(two, 1, 14, every=5, started=5000)
    log_steps(one, 1, 7, every=5)
    wait_until(lambda: second.waiting)
    wait_until(lambda: len(sent(client, run_id, "train/loss")) == 7)
    assert not second.sends()
    assert first.close(PATIENCE)
    wait_until(second.sends)
    log_steps(two, 15, 20, every=5, started=5000)
    assert second.close(PATIENCE)
    assert_each_step_once(client, run_id, 20, 5)
    assert sent(client, run_id, "train/loss") == [(n, n) for n in range(1, 21)]
    assert TAG not in client.get_run(run_id).data.tags


@pytest.mark.parametrize("killed", ["the writer", "the other"])
def test_a_killed_home_is_replaced_and_repeats_nothing_when_it_is_back(
    store: tuple[Workspace, MlflowClient],
    run_id: str,
    elsewhere: Callable[[Path], Relay],
    tmp_path: Path,
    killed: str,
) -> None:
    client, one, two = store[1], tmp_path / "one", tmp_path / "two"
    here = elsewhere(two)
    one.mkdir()
    log_steps(one, 1, 6, every=5, started=5000)
    if killed == "the other":
        here.start()
        wait_until(here.sends)
    command = [sys.executable, "-c", RELAYING, str(one), run_id, str(SILENCE)]
    process = subprocess.Popen(command, env=os.environ | {"ONESTEP_HOME": str(one)})
    try:
        if killed == "the writer":
            wait_until(lambda: len(sent(client, run_id, "train/loss")) == 6)
            here.start()
            wait_until(lambda: here.waiting)
        else:
            wait_until((one / "locks" / f"relay-{run_id}.lock").exists)
    finally:
        process.kill()
        process.wait()
    log_steps(two, 1, 10, every=5)
    wait_until(lambda: len(sent(client, run_id, "train/loss")) == 10)
    assert here.sends()
    log_steps(one, 7, 15, every=5, started=5000)
    back = elsewhere(one).start()
    wait_until(lambda: back.waiting)
    log_steps(two, 11, 15, every=5)
    assert here.close(PATIENCE)
    assert back.close(PATIENCE)
    assert_each_step_once(client, run_id, 15, 5)
