"""Where a call works: its home, one call at a time, and an environment left as it was."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from tasks.workspace import Workspace

T = TypeVar("T")
Home = str | Path | None
TRANSFORMERS = "transformers.utils.logging"
WAIT_SECONDS = 0.2
_turn = threading.RLock()


@contextmanager
def session(home: Home = None) -> Iterator[Workspace]:
    """Open the home for a call.

    Prefect and MLflow take their servers' addresses from the environment, so calls of several
    threads follow one another, and each leaves the environment as it was.

    Args:
        home: the folder to work in; ``ONESTEP_HOME`` or ``./mlruns`` by default.
    """
    with _turn, _fresh_prefect(), _unchanged_environment(), _no_foreign_bars():
        workspace = Workspace.open(None if home is None else Path(home))
        if "mlflow" in sys.modules:
            from tasks.tracking.client import connect

            # An earlier call may have pointed MLflow to another home.
            connect(workspace)
        yield workspace


@contextmanager
def _unchanged_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({k: v for k, v in before.items() if os.environ.get(k) != v})


@contextmanager
def _no_foreign_bars() -> Iterator[None]:
    """Keep the bars of other libraries away for the call; afterwards they are as they were.

    The variables that runs set turn bars off for good in a library that is imported under them:
    tqdm and the hub are imported before, and what is loaded has switches.
    """
    with warnings.catch_warnings(action="ignore"):
        import_module("tqdm.auto")
    hub: Any = import_module("huggingface_hub.utils")
    shown = not hub.are_progress_bars_disabled()
    before: Any = sys.modules.get(TRANSFORMERS)
    transformers_shown = before.is_progress_bar_enabled() if before else shown
    hub.disable_progress_bars()
    if before:
        before.disable_progress_bar()
    try:
        yield
    finally:
        after: Any = sys.modules.get(TRANSFORMERS)
        if after and transformers_shown:
            after.enable_progress_bar()
        (hub.enable_progress_bars if shown else hub.disable_progress_bars)()


@contextmanager
def _fresh_prefect() -> Iterator[None]:
    """Let Prefect end its threads and forget its server, whose address the next call may change."""
    try:
        yield
    finally:
        if "prefect" in sys.modules:
            from flows.servers import prefect

            prefect.drain()
            prefect.read_environment()


def outside_loop(work: Callable[[], T]) -> T:
    """Work in a thread of its own if an event loop runs in this one, as in a notebook.

    Prefect would take a flow that is called where a loop runs for an asynchronous one.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return _in_thread(work)


def _in_thread(work: Callable[[], T]) -> T:
    done: Future[T] = Future()
    context = copy_context()

    def target() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=target, name="onestep")
    while not done.done():
        try:
            if thread.ident is None:
                thread.start()
            # A signal that arrives just before a wait is seen when the wait ends.
            thread.join(WAIT_SECONDS)
        except KeyboardInterrupt:
            if thread.ident is None:
                raise
            _interrupt(thread)
    return done.result()


def _interrupt(thread: threading.Thread) -> None:
    """Pass Ctrl-C on: the run ends its training process and its records before it raises."""
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(KeyboardInterrupt))
