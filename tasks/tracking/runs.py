"""MLflow: the store, runs, and what is logged to them.

One MLflow run belongs to one fingerprint, so a resumed or repeated command goes on in the same
run and logs nothing twice.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.errors import Problem, TrackingFailure, UserError
from tasks.progress import Notice, announce
from tasks.store import lock, storage_errors
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")
FINGERPRINT = "onestep.fingerprint"
PARAMS_PER_CALL = 100
NO_PARAMS: Mapping[str, str] = MappingProxyType({})
PATIENCE_SECONDS = 300.0
FIRST_PAUSE = 1.0
FAR_SECONDS = 60.0
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
TRANSFER_SECONDS = "600"
UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS = 401, 403, 429
TRANSIENT = ("API request", "Failed to download", "database is locked", "Connection")
"""What the messages of MLflow's own errors contain when no server answered."""
BOUNDS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    TIMEOUT: "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
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


def reach(workspace: Workspace) -> MlflowClient:
    """Open the tracking store, and make sure that it answers.

    Raises:
        TrackingFailure: the server does not answer.
        UserError: it refuses the login.
    """
    client = connect(workspace)
    if not workspace.embedded:
        where = f"connect to {public(workspace.tracking_uri)}"
        patiently(lambda: client.search_experiments(max_results=1), where, 0.0)
    return client


def public(address: str) -> str:
    """An address without the name and the password that it may contain."""
    return re.sub("//[^/]*@", "//", address)


def patiently(action: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Repeat a call until the server answers.

    Raises:
        TrackingFailure: it did not within ``seconds``.
        UserError: it refuses the login or the permission.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    pause, failing = FIRST_PAUSE, 0.0
    while True:
        began = time.monotonic()
        try:
            return action()
        except (MlflowException, RequestException) as error:
            _require_access(error, what)
            if not transient(error):
                raise
            now = time.monotonic()
            # An attempt that got far before it failed had found the server.
            failing = failing if failing and now - began < FAR_SECONDS else now
            if now - failing >= seconds:
                advice = "run the same command again when it answers: finished stages are reused"
                raise TrackingFailure(f"cannot {what}: MLflow does not answer; {advice}") from error
            if pause == FIRST_PAUSE:
                announce(Notice(f"MLflow does not answer; waiting to {what}"))
            time.sleep(pause)
            pause = min(pause * 2, 15.0)


def _require_access(error: Exception, what: str) -> None:
    status = _status(error)
    if status == UNAUTHORIZED:
        advice = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise UserError(
            Problem("MLFLOW_TRACKING_URI", "MLflow refuses the login", advice)
        ) from None
    if status == FORBIDDEN:
        message = f"cannot {what}: this account of MLflow lacks the permission"
        raise UserError(Problem("MLFLOW_TRACKING_USERNAME", message)) from None


def unreachable(error: Exception) -> bool:
    """Whether an error of any kind means that the server did not answer."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    return isinstance(error, MlflowException | RequestException) and transient(error)


def transient(error: Exception) -> bool:
    """Whether a failed call may succeed later: no answer, or a locked or overloaded store."""
    from mlflow.exceptions import MlflowException

    if (status := _status(error)) is not None:
        return status >= 500 or status == TOO_MANY_REQUESTS
    if isinstance(error, MlflowException):
        return any(part in str(error) for part in TRANSIENT)
    return True


def _status(error: Exception) -> int | None:
    """The HTTP status that a server answered with, if it is known."""
    from mlflow.exceptions import RestException

    if isinstance(error, RestException):
        return int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    if (response := getattr(error, "response", None)) is not None:
        return int(response.status_code)
    found = re.search(r"failed with error code (\d+)", str(error))
    return int(found[1]) if found else None


@contextmanager
def alone(workspace: Workspace, fingerprint: str) -> Iterator[None]:
    """Hold the only right, on all machines, to what happens once in the run of a fingerprint."""
    with workspace.lease(f"mlflow-run-{fingerprint[:32]}"):
        yield


def open_run(
    client: MlflowClient,
    workspace: Workspace,
    experiment: str,
    fingerprint: str,
    name: str,
    params: Mapping[str, str] = NO_PARAMS,
) -> str:
    """Find the run of a fingerprint, or start it; return its id.

    Of runs that differ in nothing but parameters that decide nothing, such as the place of a file,
    the first one logs them: MLflow refuses another value.
    """
    experiment_id = _experiment(client, workspace, experiment)
    with alone(workspace, fingerprint):
        run_id = _find_or_create(client, experiment_id, fingerprint, name)
        if params:
            log_params(client, run_id, params)
    return run_id


def _find_or_create(client: MlflowClient, experiment_id: str, fingerprint: str, name: str) -> str:
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
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    with workspace.lease("mlflow-experiment"):
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


def log_figures(
    client: MlflowClient, run_id: str, figures: Mapping[str, float], step: int, kept: bool = True
) -> None:
    """Log final metrics at a step, unless the run has them already; call it with the run alone.

    Args:
        client: of the tracking store.
        run_id: the run.
        figures: by name; what a training cost begins with ``train/``.
        step: of all of them.
        kept: whether values that the run has stay, since a version was registered with them. If
            not, they may be those of a model that came to nothing; of its cost the first ones stay.
    """
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)

    def is_new(name: str, value: float) -> bool:
        if name in known and (kept or name.startswith("train/")):
            return False
        return known.get(name) != value and not isnan(value)

    new = [Metric(n, v, now, step) for n, v in figures.items() if is_new(n, v)]
    if new:
        client.log_batch(run_id, metrics=new)


def log_files(
    client: MlflowClient, run_id: str, folder: Path, target: str, known: Collection[str] = ()
) -> None:
    """Upload the files of a folder, not of the folders below it, except for known ones."""
    with unhurried():
        for path in sorted(folder.iterdir()):
            wanted = path.name != "manifest.json" and f"{target}/{path.name}" not in known
            if path.is_file() and wanted:
                client.log_artifact(run_id, str(path), target)


def log_folder(client: MlflowClient, run_id: str, folder: Path, target: str) -> None:
    """Upload a folder with all that is below it."""
    with unhurried():
        client.log_artifacts(run_id, str(folder), target)


def run_url(client: MlflowClient, workspace: Workspace, run_id: str) -> str:
    """Where a run is in the MLflow UI."""
    experiment = client.get_run(run_id).info.experiment_id
    return f"{ui_address(workspace)}/#/experiments/{experiment}/runs/{run_id}"


def ui_address(workspace: Workspace) -> str:
    """Where people open MLflow: ``ONESTEP_MLFLOW_UI_URL``, else the server itself."""
    server = workspace.tracking_uri
    own = public(server) if server.startswith("http") else "http://127.0.0.1:5000"
    return public(os.environ.get("ONESTEP_MLFLOW_UI_URL") or own).rstrip("/")


def uri_of(version: ModelVersion) -> str:
    """A registered version as MLflow writes it."""
    return f"models:/{version.name}/{version.version}"


def load_model(workspace: Workspace, version: ModelVersion) -> Any:
    """Load a registered version, leaving no copy behind."""
    import mlflow.pyfunc

    uri = uri_of(version)
    if workspace.embedded:
        return mlflow.pyfunc.load_model(uri)
    with TemporaryDirectory(dir=workspace.temporary) as folder, unhurried():
        return mlflow.pyfunc.load_model(uri, dst_path=folder)


@contextmanager
def unhurried() -> Iterator[None]:
    """Give a server time to pass a large file on to its store: until then it does not answer.

    What the user set stays.
    """
    ours = os.environ.get(TIMEOUT) == BOUNDS[TIMEOUT]
    if ours:
        os.environ[TIMEOUT] = TRANSFER_SECONDS
    try:
        yield
    finally:
        if ours:
            os.environ[TIMEOUT] = BOUNDS[TIMEOUT]


def finish(client: MlflowClient, run_id: str, status: str) -> None:
    """Set the final status: FINISHED, FAILED or KILLED."""
    client.set_terminated(run_id, status)
