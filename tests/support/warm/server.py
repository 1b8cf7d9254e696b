"""A process with libraries loaded that forks itself for each command.

It is started as ``server.py KIND SOCKET PYTHON``, and ends when its standard input closes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tasks.processes import fork_server
from tasks.processes.children import no_collection

PRELOADED = {
    # Not Prefect, which reads its settings as it is imported, and not torch, which commands leave
    # to other processes.
    "tracking": (
        *("flows.cli.main", "mlflow.store.tracking.sqlalchemy_store", "mlflow.artifacts"),
        *("griffe", "httpx", "jsonschema", "pendulum", "polars", "prometheus_client"),
        *("pydantic_settings", "rich.progress", "ruamel.yaml", "scipy.special"),
        *("tasks.validation", "websockets"),
    ),
    "learning": fork_server.PRELOADED,
}


def onestep() -> None:
    """What the script of this name does."""
    from flows.cli.main import main

    main()


def script() -> None:
    """What ``python -P -`` does: run what standard input says."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(sys.stdin.read(), "<stdin>", "exec"), module.__dict__)


RUN: dict[str, Callable[[], None]] = {
    "fork_server": fork_server.main,
    "onestep": onestep,
    "script": script,
}


def main(kind: str, path: str, python: str) -> None:
    """Serve commands until standard input closes; they start others with ``python``."""
    with no_collection():
        for name in PRELOADED[kind]:
            import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    sys.executable = python
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            supervise(client, Path(path).with_name("forks"))
            return
        client.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def supervise(client: socket.socket, forks: Path) -> None:
    """Run the command in a fork, and report how it ends; if the client ends first, kill it."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as lines:
        asked = json.loads(lines.readline())
    command = os.fork()
    if command == 0:
        client.close()
        enter(streams, **asked)
        record(forks)
        os.register_at_fork(after_in_child=partial(record, forks))
        RUN[sys.argv[0]]()
        return
    for stream in (*streams, 0):
        os.close(stream)
    client.sendall(f"{command}\n".encode())
    threading.Thread(target=kill_without, args=(client, command), daemon=True).start()
    _, status = os.waitpid(command, 0)
    with suppress(OSError):
        client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def kill_without(client: socket.socket, command: int) -> None:
    """Kill the command when the other end of the socket closes."""
    with suppress(OSError):
        client.recv(1)
        os.kill(command, signal.SIGKILL)


def record(forks: Path) -> None:
    """Tell which home this fork works on: in ``/proc`` its environment stays the server's."""
    home = os.environ.get("ONESTEP_HOME", "")
    (forks / str(os.getpid())).write_text(home, encoding="utf-8")


def enter(streams: list[int], command: list[str], environment: dict[str, str], folder: str) -> None:
    """Take over what the client has."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8") for number, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.argv[:] = command
    sys.path[0] = os.path.dirname(sys.executable)


if __name__ == "__main__":
    main(*sys.argv[1:])
