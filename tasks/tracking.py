"""MLflow: the store, runs, and what is logged to them.

One MLflow run belongs to one fingerprint, so a resumed or repeated command goes on in the same
run and logs nothing twice.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.errors import TrackingFailure
from tasks.store import lock, storage_errors
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

T = TypeVar("T")
FINGERPRINT = "onestep.fingerprint"
PARAMS_PER_CALL = 100
PATIENCE_SECONDS = 300.0
BOUNDS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def connect(workspace: Workspace) -> MlflowClient:
    """Open the tracking store, creating the SQLite file on first use."""
    for name, value in BOUNDS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow")
    if workspace.embedded:
        _create_database(workspace)
    mlflow.set_tracking_uri(workspace.tracking_uri)
    mlflow.set_registry_uri(workspace.tracking_uri)
    return mlflow.MlflowClient(workspace.tracking_uri, workspace.tracking_uri)


def _create_database(workspace: Workspace) -> None:
    """Build the database beside its place and move it in whole, under a lock."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with storage_errors(), lock(workspace.locks / "mlflow-database.lock"):
        if workspace.database.exists():
            return
        scratch = workspace.scratch("mlflow-database")
        new = scratch / "mlflow.db"
        store = SqlAlchemyStore(f"sqlite:///{new}", str(workspace.artifacts))  # type: ignore[no-untyped-call]
        store.engine.dispose()
        new.replace(workspace.database)
        shutil.rmtree(scratch)


def patiently(action: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Repeat a call until the server answers.

    Raises:
        TrackingFailure: it did not within ``seconds``.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    deadline, pause = time.monotonic() + seconds, 1.0
    while True:
        try:
            return action()
        except (MlflowException, RequestException) as error:
            if not transient(error):
                raise
            if time.monotonic() > deadline:
                advice = "run the same command again when it answers: finished stages are reused"
                raise TrackingFailure(f"cannot {what}: MLflow does not answer; {advice}") from error
            time.sleep(pause)
            pause = min(pause * 2, 15.0)


def unreachable(error: Exception) -> bool:
    """Whether an error of any kind means that the server did not answer."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    return isinstance(error, MlflowException | RequestException) and transient(error)


def transient(error: Exception) -> bool:
    """Whether a failed call may succeed later: no answer, or a locked or overloaded store."""
    from mlflow.exceptions import MlflowException, RestException

    if isinstance(error, RestException):
        return int(error.get_http_status_code()) >= 500  # type: ignore[no-untyped-call]
    if isinstance(error, MlflowException):
        text = str(error)
        return "API request" in text or "database is locked" in text or "Connection" in text
    return True


def open_run(
    client: MlflowClient, workspace: Workspace, experiment: str, fingerprint: str, name: str
) -> str:
    """Find the run of a fingerprint, or start it; return its id."""
    with lock(workspace.locks / f"mlflow-run-{fingerprint[:32]}.lock"):
        experiment_id = _experiment(client, workspace, experiment)
        found = client.search_runs(
            [experiment_id], f"tags.`{FINGERPRINT}` = '{fingerprint}'", max_results=1
        )
        if found:
            run_id: str = found[0].info.run_id
            client.update_run(run_id, status="RUNNING")
            return run_id
        tags = {FINGERPRINT: fingerprint, "mlflow.runName": name}
        created: Run = client.create_run(experiment_id, tags=tags)
        return str(created.info.run_id)


def _experiment(client: MlflowClient, workspace: Workspace, name: str) -> str:
    with lock(workspace.locks / "mlflow-experiment.lock"):
        if (found := client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        location = str(workspace.artifacts / name) if workspace.embedded else None
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, location, tags))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested sections as dotted keys, the way MLflow shows parameters."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = str(value)[:6000]
    return flat


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters that the run does not have yet."""
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    new = [Param(name, value) for name, value in params.items() if name not in known]
    for start in range(0, len(new), PARAMS_PER_CALL):
        client.log_batch(run_id, params=new[start : start + PARAMS_PER_CALL])


def log_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags, replacing earlier values."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def log_figures(client: MlflowClient, run_id: str, figures: Mapping[str, float], step: int) -> None:
    """Log final metrics at a step, unless the run has the same values already."""
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    new = [
        Metric(n, v, now, step) for n, v in figures.items() if known.get(n) != v and not isnan(v)
    ]
    if new:
        client.log_batch(run_id, metrics=new)


def log_files(client: MlflowClient, run_id: str, folder: Path, target: str) -> None:
    """Upload the files of a folder, not of the folders below it."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != "manifest.json":
            client.log_artifact(run_id, str(path), target)


def finish(client: MlflowClient, run_id: str, status: str) -> None:
    """Set the final status: FINISHED, FAILED or KILLED."""
    client.set_terminated(run_id, status)
