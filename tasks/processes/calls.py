"""Call functions in processes of their own that have torch and Transformers loaded.

The processes are forks of one server, which ends with this process: see
:mod:`tasks.processes.fork_server`.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, TypeVarTuple

from configs.errors import WorkerFailure
from configs.language import _
from tasks.processes.children import GRACE_SECONDS
from tasks.processes.fork_server import Call
from tasks.progress import announce

A = TypeVarTuple("A")
R = TypeVar("R")
CPU_SETTINGS: Final = {
    # Threads sleep while they wait, so that another busy process does not stall them.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Each batch length makes oneDNN build kernels; keeping all of them costs 10 MB per length and
    # gains nothing.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # Activations go back to the heap instead of the kernel, which would have to zero the pages
    # of the next step.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}
"""What libraries read when a process starts; variables of the user are kept."""
POLL_SECONDS: Final = 0.5
READ_AT_IMPORT: Final = (
    *("CUDA_", "DNNL_", "GOMP_", "HF_", "KMP_", "LD_", "LRU_", "MALLOC_", "MKL_", "OMP_"),
    *("ONEDNN_", "OPENBLAS_", "PYTHON", "PYTORCH_", "TORCH", "TRANSFORMERS_", "USE_"),
)
"""Beginnings of the names of variables that the server's libraries read as they are imported."""


def call(function: Callable[[*A], R], *arguments: *A) -> R:
    """Call a function of a module in another process; updates reach the listener of this one.

    The arguments, the result and an error are pickled. If this process has loaded torch already,
    it calls the function itself.

    Raises:
        WorkerFailure: the process ended before the function.
        Exception: what the function raises.
    """
    if "torch" in sys.modules:
        return function(*arguments)
    running = RunningCall(function, arguments)
    try:
        return running.result()
    finally:
        running.stop()


def prepare() -> None:
    """Let the server load its libraries while this process does something else."""
    _server()


class RunningCall(Generic[R]):
    """A call that runs.

    Args:
        function: of a module.
        arguments: of the function.
        log: file for what the process prints; by default it prints to standard error.
        environment: variables of the process.
    """

    def __init__(
        self,
        function: Callable[..., R],
        arguments: tuple[Any, ...],
        log: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        pickled = pickle.dumps((function, arguments))
        ours, theirs = socket.socketpair()
        self._server = _server()
        with theirs:
            socket.send_fds(self._server.control, [b"\0"], [theirs.fileno()])
        self._connection = Connection(ours.detach())
        # A server that has just died is noticed by watch().
        with suppress(ConnectionError):
            self._connection.send(
                Call(pickled, dict(environment), os.getcwd(), list(sys.path), log)
            )
        self._process: int | None = None
        self._result: list[R] = []
        self._error: BaseException | None = None
        self.code: int | None = None

    def watch(self, seconds: float | None = None) -> int | None:
        """Wait until the process ends or ``seconds`` have passed, and pass updates on.

        Returns:
            The exit code of the process, negative if a signal ended it; None while it runs.
        """
        while self.code is None and self._connection.poll(seconds):
            self._receive()
        return self.code

    def _receive(self) -> None:
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError):
            # Its supervisor is gone as well, or the server has never got to it.
            ended = self._server.process.poll()
            kind, value = "ended", -signal.SIGKILL if ended is None else ended
        match kind:
            case "started":
                self._process = value
            case "update":
                announce(value)
            case "result":
                self._result.append(value)
            case "error":
                self._error, cause = value
                self._error.__cause__ = cause
            case "ended":
                self.code = value

    def result(self) -> R:
        """Wait for what the function returns; errors as :func:`call`."""
        # A thread that waits for longer cannot be interrupted, as that of a notebook is.
        while (code := self.watch(POLL_SECONDS)) is None:
            pass
        if self._error is not None:
            raise self._error
        if not self._result:
            how = how_it_ended(code)
            raise WorkerFailure(
                _("a process of the run {how}; run the same command again", how=how)
            )
        return self._result[0]

    def stop(self) -> None:
        """End the process and its children: ask, wait a little, kill."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            # One that has not begun finds the connection closed.
            if self.watch(0) is not None or self._process is None:
                break
            with suppress(ProcessLookupError):
                os.killpg(self._process, sign)
            self.watch(GRACE_SECONDS)
        self._connection.close()


def how_it_ended(code: int) -> str:
    """A predicate for an exit code: how the process ended."""
    if code >= 0:
        return _("ended with code {code}", code=code)
    name = signal.Signals(-code).name
    hint = _("; out of memory is the usual cause") if -code == signal.SIGKILL else ""
    return _("was killed by {name}{hint}", name=name, hint=hint)


class _Server:
    """The server of this process, and the environment that it began with."""

    def __init__(self) -> None:
        self.environment = _read_at_import()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasks.processes.fork_server"],
                stdin=theirs.fileno(),
                start_new_session=True,
                env=CPU_SETTINGS | {"MLFLOW_DISABLE_TELEMETRY": "true"} | os.environ,
            )
        self.control = ours

    @property
    def usable(self) -> bool:
        """Whether it runs, with the libraries as they would be imported now."""
        return self.process.poll() is None and self.environment == _read_at_import()

    def end(self) -> None:
        """Take no more calls; those that run go on."""
        self.control.close()
        self.process.kill()
        self.process.wait()


_lock = threading.Lock()
_current: list[_Server] = []


def _server() -> _Server:
    with _lock:
        if _current and not _current[0].usable:
            _current.pop().end()
        if not _current:
            _current.append(_Server())
            atexit.register(_current[0].end)
        return _current[0]


def _read_at_import() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(READ_AT_IMPORT)}
