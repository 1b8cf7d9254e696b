"""The hidden Prefect server of a workspace, started on first use.

Prefect's own in-process mode loses history and its server outlives a killed run, so commands share
one loopback server instead. Its socket listens before the server has loaded: the address is known
at once, and the first request waits.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import getproxies

from configs.errors import Failure, Problem, UserError
from configs.language import _
from tasks.store import lock, read_json, write_json
from tasks.workspace import Workspace, sqlite_uri

HOST = "127.0.0.1"
PORT = 4200
ADDRESS = "server.json"
LOG = "server.log"
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
DRAIN_SECONDS = 10.0
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
_started: list[subprocess.Popen[bytes]] = []


def configured() -> str | None:
    """The Prefect API that the user configured, by environment or active profile."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE", profiles["active"])
        url = profiles["profiles"][active].get("PREFECT_API_URL")
    except (OSError, ValueError, KeyError):
        return None
    return str(url) if url else None


@contextmanager
def prefect_api(workspace: Workspace) -> Iterator[str]:
    """Provide a Prefect API for the block, set the environment for it, and yield its URL.

    Raises:
        UserError: the configured server refuses the login.
        Failure: it does not answer.
    """
    if url := configured():
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        _require_access(url)
        yield url
        return
    with hidden_server(workspace) as url:
        os.environ.update(_environment(workspace, url))
        bypass_proxy()
        if "prefect" in sys.modules:
            read_environment()
        yield url


@contextmanager
def hidden_server(workspace: Workspace) -> Iterator[str]:
    """Keep the hidden server of the workspace running for the block, and yield its URL."""
    users = workspace.locks / "prefect-users.lock"
    with lock(users, shared=True):
        with lock(workspace.locks / "prefect-start.lock"):
            port = _running(workspace) or _start(workspace, users)
        yield _address(port)


def bypass_proxy() -> None:
    """Reach servers on loopback without the proxy of the environment, and others as before."""
    excepted = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in excepted.split(",") if host.strip()]
    if getproxies() and not {HOST, "*"} & set(hosts):
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*hosts, HOST])


def read_environment() -> None:
    """Let Prefect read its settings again."""
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    refresh_global_settings_context()
    setup_logging()


def drain() -> None:
    """Send pending events and logs to the server, and end Prefect's threads."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=DRAIN_SECONDS)


def _address(port: int) -> str:
    return f"http://{HOST}:{port}/api"


def _require_access(url: str) -> None:
    import httpx
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in (401, 403):
            raise
        advice = _("set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud")
        problem = Problem("PREFECT_API_URL", _("Prefect refuses the login"), advice)
        raise UserError(problem) from None
    except httpx.HTTPError as error:
        raise Failure(_("Prefect does not answer at {url}", url=url)) from error


def hidden(workspace: Workspace) -> bool:
    """Whether the Prefect API in use is the hidden server of the workspace."""
    return configured() == hidden_api(workspace)


def hidden_api(workspace: Workspace) -> str:
    """The API of the hidden server of the workspace; empty if none is running."""
    with lock(workspace.locks / "prefect-start.lock"):
        port = _running(workspace)
    return "" if port is None else _address(port)


def _environment(workspace: Workspace, url: str) -> dict[str, str]:
    named = {"PREFECT_HOME": str(workspace.prefect), "PREFECT_API_URL": url}
    return named | {name: os.environ.get(name, value) for name, value in SETTINGS.items()}


def _running(workspace: Workspace) -> int | None:
    """The port of the running server, which holds a lock until it ends."""
    with lock(workspace.locks / "prefect-alive.lock", wait=False) as dead:
        if dead:
            return None
    port = int(read_json(workspace.prefect / ADDRESS)["port"])
    return port if _listens(port) else None


def _listens(port: int) -> bool:
    """Whether a server listens; one that is ending may hold its lock a moment longer."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _start(workspace: Workspace, users: Path) -> int:
    """Start the server; it inherits the listening socket and the lock of a running server."""
    database = sqlite_uri(workspace.prefect / "prefect.db", "+aiosqlite")
    with socket.socket() as listener, lock_file(workspace.locks / "prefect-alive.lock") as alive:
        port = _listen(listener)
        url = _address(port)
        (workspace.prefect / LOG).unlink(missing_ok=True)
        with (workspace.prefect / LOG).open("wb") as log:
            arguments = ["--socket", str(listener.fileno()), "--users", str(users)]
            server = subprocess.Popen(
                [sys.executable, "-m", "flows.servers.prefect_process", *arguments],
                pass_fds=(listener.fileno(), alive),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={DATABASE: database} | os.environ | _environment(workspace, url),
            )
        # Kept, because Python warns about a running child without a reference.
        _started[:] = [server, *(earlier for earlier in _started if earlier.poll() is None)]
        write_json(workspace.prefect / ADDRESS, {"port": port})
    return port


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Take a lock whose descriptor a child process may inherit and keep."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _listen(listener: socket.socket) -> int:
    """Listen on Prefect's usual port, or on a free one."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, PORT))
    except OSError:
        listener.bind((HOST, 0))
    listener.listen(128)
    return int(listener.getsockname()[1])
