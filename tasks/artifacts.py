"""Small records among the artifacts of an MLflow run."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tasks.store import read_json
from tasks.tracking import unreachable
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


def read(client: MlflowClient, workspace: Workspace, run_id: str, path: str) -> Any:
    """Read a JSON file of a run; None if the run has no such file."""
    with TemporaryDirectory(dir=workspace.temporary) as folder:
        found = fetch(client, run_id, path, Path(folder))
        return None if found is None else read_json(found)


def fetch(client: MlflowClient, run_id: str, path: str, folder: Path) -> Path | None:
    """Download a file or folder of a run; None if the run has no such file."""
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run_id, path, str(folder)))
    except (MlflowException, OSError) as error:
        if unreachable(error):
            raise
        return None
