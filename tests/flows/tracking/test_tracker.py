from __future__ import annotations

import threading

import pytest
from mlflow import MlflowClient

from flows.tracking.tracker import LoadMonitor
from tasks.tracking import runs
from tasks.workspace import Workspace
from tests.support.stores import closed_port
from tests.support.workers import wait_until

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample more often than every ten seconds."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")


def steps(client: MlflowClient, run_id: str, metric: str) -> list[int]:
    return [found.step for found in client.get_metric_history(run_id, metric)]


def test_a_resumed_run_goes_on_where_its_charts_end(
    store: tuple[Workspace, MlflowClient], request: pytest.FixtureRequest
) -> None:
    workspace, client = store
    run_id = runs.open_run(client, workspace, "load", request.node.name, "a run")
    for least in (2, 4):
        monitor = LoadMonitor(lambda: run_id, workspace.tracking_uri, lambda: True).start()
        wait_until(lambda least=least: len(steps(client, run_id, CPU)) >= least)
        monitor.close(30.0)
    for metric in (CPU, MEMORY):
        found = steps(client, run_id, metric)
        assert found == list(range(len(found)))
    assert client.get_metric_history(run_id, MEMORY)[0].value > 0


def test_a_server_that_is_down_is_no_error(store: tuple[Workspace, MlflowClient]) -> None:
    uri = f"http://127.0.0.1:{closed_port()}"
    client = MlflowClient(uri)
    monitor = LoadMonitor(lambda: str(client.get_run("a").info.run_id), uri, lambda: True).start()
    monitor.close(60.0)
    assert "load" not in {thread.name for thread in threading.enumerate()}
