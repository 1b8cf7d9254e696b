"""The client of MLflow: connection, timeouts, and which errors are transient."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from configs.errors import TrackingFailure, UserError
from configs.language import _
from tasks.progress import Notice, announce
from tasks.store import lock, storage_errors
from tasks.trace import span
from tasks.workspace import Workspace, sqlite_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
PATIENCE_SECONDS: Final = 300.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
FAR_SECONDS: Final = 60.0
"""An attempt that took this long had reached the server."""
TIMEOUT: Final = "MLFLOW_HTTP_REQUEST_TIMEOUT"
TRANSFER_SECONDS: Final = 600.0
DOWNLOADS: Final = "/mlflow-artifacts/artifacts/"
"""Part of the address of each file that a server sends."""
UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS = 401, 403, 429
UNANSWERED: Final = ("API request to", "Read timed out")
"""Either is part of MLflow's message about a download that the server did not answer or finish."""
BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
LOCKED_SECONDS: Final = 60.0
ADDRESSES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's database with the addresses of files."""
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
_in_transfer: ContextVar[bool] = ContextVar("in_transfer", default=False)
_transfers: set[object] = set()
"""Transfers of all threads: MLflow downloads files in threads of its own."""


@span("import MLflow and connect")
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
    else:
        _allow_slow_transfers()
    mlflow.set_tracking_uri(workspace.tracking_uri)
    mlflow.set_registry_uri(workspace.tracking_uri)
    return mlflow.MlflowClient(workspace.tracking_uri, workspace.tracking_uri)


@contextmanager
def transfer() -> Iterator[None]:
    """Give calls of this thread, and downloads of any, more time until the server answers.

    It stores a large file before it passes it on. A transfer that has begun fails when nothing
    moves for as long as any other call may take. A timeout that the user set stays.
    """
    token, transfer = _in_transfer.set(True), object()
    _transfers.add(transfer)
    try:
        yield
    finally:
        _transfers.discard(transfer)
        _in_transfer.reset(token)


def _allow_slow_transfers() -> None:
    """Give transfers a separate timeout: MLflow has one for all calls of a process."""
    from mlflow.utils import request_utils

    usual = request_utils.TCPKeepAliveHTTPAdapter

    class Adapter(usual):  # type: ignore[misc, valid-type]
        def send(self, request: Any, *args: Any, timeout: Any = None, **more: Any) -> Any:
            download = request.method == "GET" and DOWNLOADS in request.url
            slow = _in_transfer.get() or (download and bool(_transfers))
            if not slow or str(timeout) != BOUNDS[TIMEOUT]:
                return super().send(request, *args, timeout=timeout, **more)
            usual_and_slow = (timeout, TRANSFER_SECONDS)
            response = super().send(request, *args, timeout=usual_and_slow, **more)
            if (connection := response.raw.connection) and connection.sock:
                connection.sock.settimeout(timeout)
            return response

    if usual.__module__ == request_utils.__name__:
        request_utils.TCPKeepAliveHTTPAdapter = Adapter  # type: ignore[misc]


def _create_database(workspace: Workspace) -> None:
    """Create the database in a scratch folder and move it into place, under a lock."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with storage_errors(), lock(workspace.locks / "mlflow-database.lock"):
        if workspace.database.exists():
            _follow_move(workspace)
            return
        scratch = workspace.scratch("mlflow-database")
        new = scratch / "mlflow.db"
        root = workspace.artifacts.as_uri()
        store = SqlAlchemyStore(sqlite_uri(new), root)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        new.replace(workspace.database)
        shutil.rmtree(scratch)


def _follow_move(workspace: Workspace) -> None:
    """Point the database to the files in this folder, if the folder was moved or copied.

    MLflow keeps absolute addresses. That of its first experiment tells where the files were.
    """
    here = workspace.artifacts.as_uri()
    first = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
    with closing(sqlite3.connect(workspace.database, timeout=LOCKED_SECONDS)) as database, database:
        found = database.execute(first).fetchone()
        there, slash, zero = found[0].rpartition("/") if found else (here, "", "")
        if there == here or zero != "0":
            return
        for table, column in ADDRESSES:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE substr({column}, 1, ?) = ?",
                (here, len(there) + 1, len(there) + 1, there + slash),
            )


def reach(workspace: Workspace) -> MlflowClient:
    """Open the tracking store and check that it answers.

    Raises:
        TrackingFailure: the server does not answer.
        UserError: it refuses the login.
    """
    client = connect(workspace)
    if not workspace.embedded:
        where = _("connect to {tracking_uri}", tracking_uri=public(workspace.tracking_uri))
        patiently(lambda: client.search_experiments(max_results=1), where, 0.0)
    return client


def public(address: str) -> str:
    """An address without user name and password."""
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
            failing = failing if failing and now - began < FAR_SECONDS else now
            if now - failing >= seconds:
                advice = _("run the same command again when it answers: finished stages are reused")
                raise TrackingFailure(
                    _("cannot {what}: MLflow does not answer; {advice}", what=what, advice=advice)
                ) from error
            if pause == FIRST_PAUSE:
                announce(Notice(_("MLflow does not answer; waiting to {what}", what=what)))
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


@contextmanager
def ignoring(*codes: str) -> Iterator[None]:
    """End the block without an error if MLflow refuses a call with one of its error codes."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


def _require_access(error: Exception, what: str) -> None:
    status = _status(error)
    if status == UNAUTHORIZED:
        advice = _("set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        raise UserError.at("MLFLOW_TRACKING_URI", _("MLflow refuses the login"), advice) from None
    if status == FORBIDDEN:
        message = _("cannot {what}: this account of MLflow lacks the permission", what=what)
        raise UserError.at("MLFLOW_TRACKING_USERNAME", message) from None


def unreachable(error: Exception) -> bool:
    """Whether an error of any kind means that the server did not answer."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    return isinstance(error, MlflowException | RequestException) and transient(error)


def transient(error: Exception) -> bool:
    """Whether a failed call may succeed later: no answer, or a locked or overloaded store."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import OperationalError

    if (status := _status(error)) is not None:
        return status >= 500 or status == TOO_MANY_REQUESTS
    if not isinstance(error, MlflowException):
        return True
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OperationalError):
        return getattr(cause.orig, "sqlite_errorcode", BUSY[0]) in BUSY
    # MLflow joins the errors of a download into one message.
    download = "occurred while downloading" in str(error)
    unanswered = download and any(part in str(error) for part in UNANSWERED)
    return isinstance(cause, RequestException) or unanswered


def _status(error: Exception) -> int | None:
    """The HTTP status of the server's answer, if it is known."""
    from mlflow.exceptions import MlflowException, RestException

    if (response := getattr(error, "response", None)) is not None:
        return int(response.status_code)
    if not isinstance(error, MlflowException):
        return None
    # An answer that is not JSON; errors of MLflow itself have a cause or this code.
    answered = error.__cause__ is None and error.error_code != "INTERNAL_ERROR"
    if answered or isinstance(error, RestException):
        return int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    return None


def ui_address(workspace: Workspace) -> str:
    """The address of the MLflow UI: ``ONESTEP_MLFLOW_UI_URL``, else the server itself."""
    server = workspace.tracking_uri
    own = public(server) if server.startswith("http") else "http://127.0.0.1:5000"
    return public(os.environ.get("ONESTEP_MLFLOW_UI_URL") or own).rstrip("/")
