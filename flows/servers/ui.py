"""Serve the Prefect and MLflow UIs of a workspace on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from configs.errors import Failure, Problem, UserError
from configs.language import _
from flows.servers.prefect import HOST, bypass_proxy, prefect_api
from tasks.processes import children
from tasks.tracking.client import connect, reach, ui_address
from tasks.workspace import Workspace

READY_SECONDS = 90.0
MLFLOW_SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


@contextmanager
def serve(workspace: Workspace, mlflow_port: int) -> Iterator[dict[str, str]]:
    """Run both UIs during the block; yields the addresses by ``prefect`` and ``mlflow``.

    Raises:
        UserError: the port is taken.
        Failure: a server does not come up.
    """
    with prefect_api(workspace) as api, _mlflow(workspace, mlflow_port) as mlflow:
        prefect = os.environ.get("PREFECT_UI_URL") or api.removesuffix("/api")
        _wait(f"{api}/health")
        yield {"prefect": prefect, "mlflow": mlflow}


@contextmanager
def _mlflow(workspace: Workspace, port: int) -> Iterator[str]:
    if not workspace.embedded:
        reach(workspace)
        yield ui_address(workspace)
        return
    refuse_taken(port, "--mlflow-port")
    bypass_proxy()
    connect(workspace)
    arguments = ["server", "--backend-store-uri", workspace.tracking_uri, "--host", HOST]
    arguments += ["--port", str(port), "--workers", "1"]
    arguments += ["--default-artifact-root", workspace.artifacts.as_uri()]
    with (workspace.root / "mlflow-ui.log").open("wb") as log:
        server = children.start(
            [*children.GUARD, sys.executable, "-m", "mlflow", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | MLFLOW_SETTINGS,
        )
    try:
        _wait(f"http://{HOST}:{port}/health")
        yield f"http://{HOST}:{port}"
    finally:
        children.stop(server)


def refuse_taken(port: int, option: str) -> None:
    """Refuse a port on loopback that is in use.

    Raises:
        UserError: naming the option that gives another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(
                Problem(option, _("port {port} is taken", port=port), _("name another one"))
            ) from None


def _wait(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise Failure(_("no answer from {url} within {seconds:.0f} s", url=url, seconds=READY_SECONDS))
