"""Commands that begin with their libraries loaded, since the tests begin hundreds.

A :mod:`~tests.support.warm.server` has imported the libraries, and forks itself for each command; a
:mod:`~tests.support.warm.client` stands in for the command. Tests about what a new interpreter
does, about signals and about processes start the command itself.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from flows.run.inputs import QUIET
from tasks.processes import calls

FOLDER = Path(__file__).parent
CLIENT = f"{sys.executable} -IS {FOLDER / 'client.py'}"
PYTHON = """\
#!/bin/sh
case "$*" in
    "-m tasks.processes.fork_server") exec {client} {learning} fork_server;;
    "-P -") exec {client} {tracking} script;;
esac
exec {python} "$@"
"""
ONESTEP = """\
#!/bin/sh
# What loads a model in its own process has torch from the beginning.
case "$1" in predict) exec {client} {learning} onestep "$@";; esac
exec {client} {tracking} onestep "$@"
"""
START_SECONDS = 120.0


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    (folder / "forks").mkdir()
    return folder


def home_of(pid: int) -> str | None:
    """The home that a process works on, if it is a fork of a server or of such a fork."""
    file = _folder() / "forks" / str(pid)
    return file.read_text(encoding="utf-8") if file.exists() else None


@cache
def command() -> Path:
    """Stands in for ``onestep`` while this process runs."""
    folder = _folder()
    settings = QUIET | calls.CPU_SETTINGS
    told = {"environment": dict(os.environ), "read": calls.READ_AT_IMPORT, "set": settings}
    (folder / "environment.json").write_text(json.dumps(told), encoding="utf-8")
    sockets = {kind: folder / f"{kind}.socket" for kind in ("learning", "tracking")}
    python = _script(folder / "python", PYTHON, python=sys.executable, **sockets)
    for kind, socket in sockets.items():
        server = subprocess.Popen(
            [sys.executable, FOLDER / "server.py", kind, socket, python],
            stdin=subprocess.PIPE,
            env=settings | os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
        # The end of its input ends it.
        atexit.register(server.communicate)
    _wait_for(sockets.values())
    return _script(folder / "onestep", ONESTEP, **sockets)


def _script(path: Path, text: str, **values: str | Path) -> Path:
    path.write_text(text.format(client=CLIENT, **values), encoding="utf-8")
    path.chmod(0o755)
    return path


def _wait_for(sockets: Iterable[Path]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not all(socket.exists() for socket in sockets):
        assert time.monotonic() < deadline, "no server for commands"
        time.sleep(0.02)
