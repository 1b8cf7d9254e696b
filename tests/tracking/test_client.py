"""What the client makes of servers that are slow, broken, or refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils import request_utils

from configs.errors import TrackingFailure, UserError
from tasks.tracking import client as clients
from tasks.tracking.client import connect, patiently, transfer, transient
from tasks.workspace import Workspace

JSON = '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}'
PAGE = "<html>a proxy</html>"
SLOW_SECONDS = 2.0


@contextmanager
def server(status: int, body: str, seconds: float = 0.0) -> Iterator[str]:
    """A server with one answer; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home whose environment is put back afterwards."""
    for name, value in {**clients.BOUNDS, "MLFLOW_TRACKING_URI": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Workspace.open(tmp_path)


def connected(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, url: str) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    usual = request_utils.TCPKeepAliveHTTPAdapter
    monkeypatch.setattr(request_utils, "TCPKeepAliveHTTPAdapter", usual)
    request_utils._cached_get_request_session.cache_clear()
    return connect(workspace)


@pytest.mark.parametrize(
    ("status", "body", "passes_by_itself"),
    [(404, JSON, False), (400, PAGE, False), (502, PAGE, True), (429, PAGE, True)],
    ids=["missing", "bad request", "broken proxy", "too many requests"],
)
def test_the_status_tells_whether_to_try_again(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: str,
    passes_by_itself: bool,
) -> None:
    with server(status, body) as url:
        client = connected(workspace, monkeypatch, url)
        with pytest.raises(MlflowException) as caught:
            client.get_run("a")
    assert transient(caught.value) == passes_by_itself


def test_a_refused_login_is_the_users_to_mend(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(401, "You are not authenticated.") as url:
        client = connected(workspace, monkeypatch, url)
        with pytest.raises(UserError, match="refuses the login"):
            patiently(lambda: client.get_run("a"), "look", 0.0)


def test_a_server_that_is_gone_may_come_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(200, "{}") as url:
        pass
    client = connected(workspace, monkeypatch, url)
    with pytest.raises(TrackingFailure, match="cannot look: MLflow does not answer"):
        patiently(lambda: client.get_run("a"), "look", 0.0)


def test_a_transfer_has_time_while_other_calls_have_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(clients.BOUNDS, clients.TIMEOUT, "1")
    monkeypatch.setenv(clients.TIMEOUT, "1")
    ended: list[Exception] = []
    with server(404, JSON, SLOW_SECONDS) as url:
        client = connected(workspace, monkeypatch, url)

        def other() -> None:
            try:
                client.get_run("a")
            except MlflowException as error:
                ended.append(error)

        beside = threading.Thread(target=other)
        beside.start()
        with transfer(), pytest.raises(MlflowException, match="no such run"):
            client.get_run("a")
        beside.join()
    assert "timeout" in str(ended[0])
    assert transient(ended[0])


@contextmanager
def artifact_server(before: float, between: float) -> Iterator[HttpArtifactRepository]:
    """A server that pauses before its answer, and before the second half of a file."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            file = self.path.endswith("/model.bin")
            parts = {b"half": before, b"rest": between} if file else {b"{}": 0.0}
            with suppress(OSError):
                for at, (part, seconds) in enumerate(parts.items()):
                    time.sleep(seconds)
                    if not at:
                        self.send_response(200)
                        self.send_header("Content-Length", str(len(b"".join(parts))))
                        self.end_headers()
                    self.wfile.write(part)

        def log_message(self, format: str, *args: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{serving.server_port}"
    try:
        yield HttpArtifactRepository(f"{address}/api/2.0{clients.DOWNLOADS}1/run/artifacts")
    finally:
        serving.shutdown()
        serving.server_close()


@pytest.mark.parametrize(
    ("large", "before", "between", "arrives"),
    [
        (True, 1.3, 0.6, True),
        (False, 0.6, 0.6, True),
        (False, 1.3, 0.0, False),
        (True, 0.0, 1.3, False),
    ],
    ids=["slow to begin", "slow throughout", "small and hanging", "large and stalled"],
)
def test_a_download_ends_when_nothing_moves(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    large: bool,
    before: float,
    between: float,
    arrives: bool,
) -> None:
    monkeypatch.setitem(clients.BOUNDS, clients.TIMEOUT, "1")
    monkeypatch.setenv(clients.TIMEOUT, "1")
    with artifact_server(before, between) as files, transfer() if large else nullcontext():
        connected(workspace, monkeypatch, "http://127.0.0.1:1")
        if arrives:
            path = files.download_artifacts("model.bin", str(tmp_path))
            assert Path(path).read_bytes() == b"halfrest"
            return
        with pytest.raises(MlflowException) as caught:
            files.download_artifacts("model.bin", str(tmp_path))
    assert transient(caught.value)


def test_a_locked_database_is_tried_again_and_a_full_disk_is_not() -> None:
    import sqlite3

    from sqlalchemy.exc import OperationalError

    for code, again in ((sqlite3.SQLITE_BUSY, True), (sqlite3.SQLITE_FULL, False)):
        cause = sqlite3.OperationalError("no")
        cause.sqlite_errorcode = code
        error = MlflowException("no")
        error.__cause__ = OperationalError("SELECT 1", {}, cause)
        assert transient(error) == again
