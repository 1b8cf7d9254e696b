"""A process that has loaded torch and Transformers, and forks itself for each call.

Importing both takes seconds. :mod:`tasks.processes.calls` starts this process once, and sends it a
socket for each call. Every call gets two processes: one that works, in a process group of its own,
and one that ends this group when the other end of the socket closes, even if its owner was killed.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from tasks.processes.children import GRACE_SECONDS, no_collection
from tasks.progress import Update, listening
from tasks.trace import span

PRELOADED: Final = (
    "pandas",
    "peft",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "tasks.training.preflight",
    "tasks.evaluation",
    "tasks.predictor",
    "matplotlib.figure",
)
GPU_DRIVERS: Final = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/nvhost-ctrl")


@dataclass(frozen=True, slots=True)
class Call:
    """What a process is to do, and where.

    Attributes:
        function: the pickled function with its arguments.
        environment: of the caller.
        folder: working directory.
        path: where modules are imported from.
        log: file for the output; None for that of the caller.
    """

    function: bytes
    environment: Mapping[str, str]
    folder: str
    path: list[str]
    log: Path | None


def main() -> None:
    """Serve calls until the owner's end of standard input, a socket, closes."""
    # An interrupt that reaches every process is reported by the caller alone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The output of the caller may be JSON.
    os.dup2(2, 1)
    if forks():
        _load()
    control = socket.socket(fileno=os.dup(0))
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        _reap()
        if not descriptors:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _supervise(descriptors[0])
        os.close(descriptors[0])


def forks() -> bool:
    """Whether a fork of a process with torch is sound: not where a GPU's driver may be loaded."""
    return sys.platform == "linux" and not any(Path(name).exists() for name in GPU_DRIVERS)


@span("import torch and Transformers")
def _load() -> None:
    """Import the libraries; one that is broken fails in the calls, which can report it."""
    with no_collection(), suppress(Exception):
        for name in PRELOADED:
            import_module(name)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _supervise(descriptor: int) -> None:
    """Fork the process that works, wait for it, and report its exit code."""
    ended, held = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(ended)
        os.setsid()
        _begin(descriptor, held)
    os.close(held)
    connection = Connection(descriptor)
    if not _ends(ended, descriptor):
        _end_group(worker, ended)
    # Whatever the worker has started and left behind.
    with suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    with suppress(OSError):
        connection.send(("ended", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _ends(ended: int, descriptor: int) -> bool:
    """Wait for the worker's end; False if the caller's end comes first."""
    poller = select.poll()
    poller.register(ended, select.POLLIN)
    # Without a mask, poll reports only that the other end has closed.
    poller.register(descriptor, 0)
    return any(found == ended for found, _ in poller.poll())


def _end_group(worker: int, ended: int) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(worker, sign)
        select.select([ended], [], [], GRACE_SECONDS)


def _begin(descriptor: int, held: int) -> None:
    """Work in this process, or in a new interpreter where forks are not sound."""
    if forks():
        work(descriptor, held)
    inherited = [str(descriptor), str(held)]
    for one in (descriptor, held):
        os.set_inheritable(one, True)
    os.execv(sys.executable, [sys.executable, "-m", __spec__.name, *inherited])


def work(descriptor: int, held: int) -> None:
    """Do what the socket asks for, and exit, which closes the pipe ``held``."""
    os.set_inheritable(held, False)
    # A process that is forked here and left behind does not hide the end of this one.
    os.register_at_fork(after_in_child=lambda: os.close(held))
    try:
        code = _answer(Connection(descriptor))
    except (ConnectionError, EOFError):
        # The caller has gone.
        code = 1
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _answer(connection: Connection) -> int:
    """Receive a call, report updates and the result or the error; return an exit code."""
    connection.send(("started", os.getpid()))
    call: Call = connection.recv()
    try:
        _enter(call)
        function, arguments = pickle.loads(call.function)
        send = partial(_send_update, connection)
        with listening(send), span(_name(function)):
            result = function(*arguments)
        connection.send(("result", result))
    except SystemExit as exit_:
        return int(exit_.code or 0)
    except BaseException as error:
        if call.log is not None:
            traceback.print_exc()
        _send_error(connection, error)
        return 1
    return 0


def _name(function: Any) -> str:
    """The name of a function; a partial one has only that of its class."""
    return str(getattr(function, "__qualname__", type(function).__name__))


def _send_update(connection: Connection, update: Update) -> None:
    connection.send(("update", update))


def _enter(call: Call) -> None:
    """Take over the caller's environment, and write to the log of the call."""
    os.environ.clear()
    os.environ.update(call.environment)
    os.chdir(call.folder)
    sys.path[:] = call.path
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if call.log is not None:
        log = os.open(call.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)


def _send_error(connection: Connection, error: BaseException) -> None:
    """Send an error with its cause, by which a lost connection is known."""
    cause = error.__cause__ or error.__context__
    plain = RuntimeError(type(error).__name__)
    for one in (error, plain):
        one.add_note(traceback.format_exc())
    connection.send(("error", (_sendable(error) or plain, _sendable(cause))))


def _sendable(error: BaseException | None) -> BaseException | None:
    """The error, unless its class cannot be pickled or made anew."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return None
    return error


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        work(*map(int, arguments))
    main()
