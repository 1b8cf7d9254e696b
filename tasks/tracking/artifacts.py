"""Read the artifacts of MLflow runs."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tasks.store import read_json
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


def read(client: MlflowClient, workspace: Workspace, run_id: str, path: str) -> Any:
    """Read a JSON file of a run; None if the run has no such file."""
    with TemporaryDirectory(dir=workspace.temporary) as folder:
        found = fetch(client, run_id, path, Path(folder))
        return None if found is None else read_json(found)


def fetch(client: MlflowClient, run_id: str, path: str, folder: Path) -> Path | None:
    """Download a file of a run; None if the run has no such file."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ConnectionError

    if not exists(client, run_id, path):
        return None
    try:
        return Path(client.download_artifacts(run_id, path, str(folder)))
    except MlflowException as error:
        # The file exists, so the server did not answer; MLflow reports it as missing.
        raise ConnectionError(f"{path} of run {run_id} was not downloaded") from error


def exists(client: MlflowClient, run_id: str, path: str) -> bool:
    """Whether a run has a file; the error of a failed download does not tell."""
    from mlflow.exceptions import MlflowException

    try:
        known = client.list_artifacts(run_id, path.rpartition("/")[0] or None)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return path in {entry.path for entry in known}
