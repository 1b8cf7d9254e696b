from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from configs.errors import TrackingFailure
from flows.servers.leases import lease, shared
from tasks.workspace import Workspace
from tests.support.stores import closed_port


@pytest.mark.parametrize(
    ("mlflow", "prefect", "expected"),
    [
        ("", "", nullcontext),
        ("http://mlflow:5000", "", nullcontext),
        ("", "http://prefect:4200/api", nullcontext),
        ("http://mlflow:5000", "http://prefect:4200/api", lease),
    ],
)
def test_leases_go_through_prefect_if_both_servers_are_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: str, prefect: str, expected: object
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    assert shared(Workspace.open(tmp_path)).leases is expected


def test_a_server_that_does_not_answer_is_named_without_its_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    address = f"127.0.0.1:{closed_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", f"http://user:secret@{address}")
    settings = {PREFECT_API_URL: f"http://{address}", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(settings), pytest.raises(TrackingFailure) as caught, lease("model"):
        pass
    assert f"Prefect does not answer at http://{address}" in str(caught.value)
