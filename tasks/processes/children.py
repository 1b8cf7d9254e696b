"""Child processes that end with the process that started them, even if that one is killed.

The standard input of a child is a pipe from its parent. It closes when the parent is gone, and the
child then ends its process group. A program of ours calls :func:`end_with_parent` for that; any
other command is run through :data:`GUARD`.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

GUARD = (sys.executable, "-m", "tasks.processes.children")
"""Before a command: run it, and end it with the process that started this."""
GRACE_SECONDS = 5.0


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, its standard input a pipe from here.

    Args:
        command: a program that calls :func:`end_with_parent`, or ``GUARD`` and any command.
        options: of ``Popen``, such as ``stdout`` and ``env``.
    """
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **options)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group of a child: ask, wait a little, kill."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    if process.stdin:
        process.stdin.close()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """From now on, end this process group when standard input closes."""
    threading.Thread(target=_end_when_input_closes, daemon=True).start()


def _end_when_input_closes() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


@contextmanager
def no_collection() -> Iterator[None]:
    """Load modules without looking for garbage: there is none, and it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input closes; return its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # Not the default: this process outlives the request, to kill what does not follow it.
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    end_with_parent()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
