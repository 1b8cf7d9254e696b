"""The timeline of a run: spans of its work, in all of its processes, for Perfetto or Chrome.

Processes append to the file that the variable ``ONESTEP_TRACE`` names, in the `Trace Event Format
<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>`_, whose array
needs no end: a killed run leaves a timeline too. Without the variable, a span costs a microsecond.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "ONESTEP_TRACE"
START: Final = b"[\n"
_named: set[tuple[int, str]] = set()
"""Processes that have an entry in a file."""


def start(path: Path) -> None:
    """Write the spans of this process, and of those that it starts from now on, to a file.

    Raises:
        FileExistsError: the file is there, and is no timeline.
        OSError: it cannot be written.
    """
    if path.exists() and path.read_bytes()[: len(START)] != START:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    path.write_bytes(START)
    os.environ[VARIABLE] = str(path.absolute())


@contextmanager
def span(name: str, **values: Any) -> Iterator[None]:
    """Record how long the block, or the decorated function, takes; ``values`` are shown with it."""
    path = os.environ.get(VARIABLE)
    if path is None:
        yield
        return
    began = time.time_ns()
    try:
        yield
    finally:
        add(path, name, began, time.time_ns() - began, **values)


def add(path: str, name: str, began: int, nanoseconds: int, **values: Any) -> None:
    """Record a span that began at a time, in nanoseconds since 1970."""
    times = {"ts": began / 1000, "dur": nanoseconds / 1000}
    event = {"name": name, "ph": "X", "tid": threading.get_native_id(), "args": values} | times
    if (os.getpid(), path) not in _named:
        _named.add((os.getpid(), path))
        _append(path, {"name": "process_name", "ph": "M", "args": {"name": _program()}})
    _append(path, event)


def _program() -> str:
    """What this process was started as, without its folder."""
    module = sys.modules["__main__"].__spec__
    return module.name if module else Path(sys.argv[0]).name


def _append(path: str, event: dict[str, Any]) -> None:
    line = json.dumps(event | {"pid": os.getpid()}) + ",\n"
    # A run does not fail because its timeline cannot be written.
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            # In one call, since other processes append too.
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
