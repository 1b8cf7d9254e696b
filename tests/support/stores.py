"""A real MLflow store on SQLite, and a server that is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tasks.tracking.client import BOUNDS, connect
from tasks.workspace import Workspace


@contextmanager
def embedded_store(root: Path) -> Iterator[tuple[Workspace, MlflowClient]]:
    """Open a workspace and its store; leave MLflow's settings as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, value in BOUNDS.items():
            patch.setenv(name, value)
        before = mlflow.get_tracking_uri()
        workspace = Workspace.open(root)
        yield workspace, connect(workspace)
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)


def closed_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
