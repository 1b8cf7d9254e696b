"""A server that follows the alias of a model, without a socket: requests go to the application."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import warnings
from pathlib import Path

import httpx
import mlflow.pyfunc
import pytest
from mlflow import MlflowClient

from flows.models.serving.batching import Batcher, Limits
from flows.models.serving.metrics import Metrics, Monitored
from flows.models.serving.scoring import ScoringServer
from flows.models.serving.server import Follower, over_http
from tasks.tracking import registry
from tasks.tracking.registry import CHAMPION, Reference
from tasks.workspace import Workspace
from tests.support.commands import eventually
from tests.support.stores import closed_port

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
NAME = "served"


with warnings.catch_warnings(action="ignore"):
    # MLflow asks for annotations, from which it would infer a signature.

    class Constant(mlflow.pyfunc.PythonModel):
        """Answers every row with its own number."""

        def __init__(self, number: int) -> None:
            self.number = number

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return [self.number] * len(model_input)


def add_version(client: MlflowClient, folder: Path, number: int) -> Path:
    """Register a version and make it the champion; return the folder of its artifacts."""
    run = client.create_run(client.get_experiment_by_name("Default").experiment_id)  # type: ignore[union-attr]
    path = folder / str(number)
    mlflow.pyfunc.save_model(path, python_model=Constant(number), pip_requirements=[])
    client.log_artifacts(run.info.run_id, str(path), "model")
    source = f"{run.info.artifact_uri}/model"
    version = registry.create(client, NAME, source, run.info.run_id, {"number": str(number)})
    registry.set_alias(client, NAME, CHAMPION, int(version.version))
    return Path(source.removeprefix("file://"))


def ask(follower: Follower) -> tuple[list[int], str]:
    """The predictions for two rows, and the version that the header names."""

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(follower)
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            rows = {"dataframe_split": {"columns": ["text"], "data": [["a"], ["b"]]}}
            return await client.post("/invocations", json=rows)

    answer = asyncio.run(post())
    return answer.json()["predictions"], answer.headers["x-onestep-model"]


def test_a_server_follows_the_alias_and_keeps_what_loads(
    store: tuple[Workspace, MlflowClient], tmp_path: Path
) -> None:
    workspace, client = store
    said: list[str] = []
    add_version(client, tmp_path, 1)
    batcher = Batcher(Limits(), Metrics())
    follower = Follower(workspace, Reference.parse(NAME), batcher, said.append)
    pinned = Follower(workspace, Reference.parse(f"{NAME}/1"), batcher, said.append)
    assert ask(follower) == ([1, 1], f"models:/{NAME}/1")

    add_version(client, tmp_path, 2)
    follower._look()
    assert ask(follower) == ([2, 2], f"models:/{NAME}/2")
    assert said == [f"now serving models:/{NAME}/2"]

    shutil.rmtree(add_version(client, tmp_path, 3))
    follower._look()
    follower._look()
    assert ask(follower) == ([2, 2], f"models:/{NAME}/2")
    (complaint,) = said[1:]
    assert complaint.startswith(f"models:/{NAME}/3 does not load: ")
    assert complaint.endswith(f"; models:/{NAME}/2 stays")

    registry.set_alias(client, NAME, CHAMPION, 1)
    follower._look()
    assert ask(follower) == ask(pinned) == ([1, 1], f"models:/{NAME}/1")
    batcher.close()


def exchange(client: socket.socket, *lines: str) -> str:
    """Send a request without a body, and read the response."""
    client.sendall("\r\n".join((*lines, "Host: model", "", "")).encode())
    return client.recv(4096).decode()


def test_a_client_that_stalls_keeps_no_server_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.models.serving.server.GRACE_SECONDS", 0)
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=Constant(1), pip_requirements=[])
    metrics = Metrics()
    batcher = Batcher(Limits(), metrics)
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    port = closed_port()
    scoring = ScoringServer(served, batcher, print)
    server = over_http(Monitored(scoring, metrics), port)
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    eventually(lambda: server.started)
    address = ("127.0.0.1", port)
    with socket.create_connection(address, 30) as other, socket.create_connection(address) as slow:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        found = exchange(other, "GET /other HTTP/1.1", *upgrade, "Sec-WebSocket-Key: AAAA")
        assert found.startswith("HTTP/1.1 404 ")
        slow.sendall(b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Length: 9\r\n\r\n{")
        eventually(lambda: server.server_state.tasks)
        server.should_exit = True
        running.join(30)
        assert not running.is_alive()
    assert "Traceback" not in capfd.readouterr().err
    batcher.close()
