from __future__ import annotations

import pytest
from mlflow import MlflowClient

from flows.tracking.records import log_comparison_run
from tasks.tracking import runs
from tasks.tracking.client import ui_address
from tasks.workspace import Workspace
from tests.support.records import gate

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


@pytest.fixture
def parent(store: tuple[Workspace, MlflowClient], request: pytest.FixtureRequest) -> str:
    """The MLflow run of a pipeline."""
    workspace, client = store
    return runs.open_run(client, workspace, "comparisons", request.node.name, "a run")


def against(version: int) -> dict[str, object]:
    return gate("länge|1") | {"reference": f"models:/reviews/{version}"}


def test_a_comparison_is_a_run_below_that_of_the_pipeline(
    store: tuple[Workspace, MlflowClient], parent: str
) -> None:
    _, client = store
    run = client.get_run(log_comparison_run(client, parent, against(6)))
    assert run.info.run_name == "comparison with version 6"
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["onestep.champion"] == "models:/reviews/6"
    expected = {"challenger/accuracy": 0.91, "champion/accuracy": 0.9, "gain/accuracy": 0.01}
    expected |= {"gain_low/accuracy": -0.005, "gain_high/accuracy": 0.025, "mcnemar": 0.04}
    expected |= {"slice/länge_1: long/drop": 0.02, "slice/länge_1: middle/rows": 9}
    assert expected.items() <= run.data.metrics.items()


def test_slices_whose_names_mlflow_does_not_allow_keep_their_own_figures(
    store: tuple[Workspace, MlflowClient], parent: str
) -> None:
    _, client = store
    names = ["topic: [a]", "topic: {a}", "topic: b/../c", "topic: " + "x" * 400]
    slices = [gate()["slices"][0] | {"name": n, "drop": i / 8} for i, n in enumerate(names)]
    found = log_comparison_run(client, parent, against(6) | {"slices": slices})
    metrics = client.get_run(found).data.metrics
    drops = {name: metrics[name] for name in metrics if name.endswith("/drop")}
    assert sorted(drops.values()) == [0, 0.125, 0.25, 0.375]
    assert "slice/topic: b_.._c/drop" in drops


def test_nothing_is_logged_twice(store: tuple[Workspace, MlflowClient], parent: str) -> None:
    _, client = store
    found = {log_comparison_run(client, parent, against(6)) for _ in range(2)}
    assert len(found) == 1
    assert len(client.get_metric_history(found.pop(), "gain/accuracy")) == 1
    other = log_comparison_run(client, parent, against(7) | {"mcnemar": None})
    assert client.get_run(other).info.run_name == "comparison with version 7"
    assert "mcnemar" not in client.get_run(other).data.metrics


def test_the_run_of_the_pipeline_is_still_found_by_its_fingerprint(
    store: tuple[Workspace, MlflowClient], parent: str, request: pytest.FixtureRequest
) -> None:
    workspace, client = store
    log_comparison_run(client, parent, against(6))
    again = runs.open_run(client, workspace, "comparisons", request.node.name, "a run")
    assert again == parent


def test_a_figure_is_replaced_until_a_version_was_registered_with_it(
    store: tuple[Workspace, MlflowClient], parent: str
) -> None:
    _, client = store
    for value, kept in ((0.7, False), (0.9, False), (0.8, True)):
        figures = {"test/accuracy": value, "train/seconds": value}
        runs.log_figures(client, parent, figures, 36, kept)
    metrics = client.get_run(parent).data.metrics
    assert (metrics["test/accuracy"], metrics["train/seconds"]) == (0.9, 0.7)


@pytest.mark.parametrize("address", ["http://ada:p@ss@h:5000", "http://h:5000"])
def test_an_address_is_shown_without_its_login(
    address: str, store: tuple[Workspace, MlflowClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESTEP_MLFLOW_UI_URL", f"{address}/")
    assert ui_address(store[0]) == "http://h:5000"
