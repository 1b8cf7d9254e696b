"""Calls one at a time, each in its home, with the environment restored afterwards."""

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
    threads run one after another, and each restores the environment.
    """
    with _turn, _fresh_prefect(), _unchanged_environment(), _no_foreign_bars():
        workspace = Workspace.open(None if home is None else Path(home))
        if "mlflow" in sys.modules:
            from tasks.tracking.client import connect

            # An earlier call may have set another home.
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
    """Turn off the progress bars of other libraries for the call.

    The variables that runs set would turn bars off for good in a library that is imported while
    they are set: tqdm and the hub are imported before; loaded libraries have switches.
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
    """End Prefect's threads and forget its server: the next call may use another one."""
    try:
        yield
    finally:
        if "prefect" in sys.modules:
            from flows.servers import prefect

            prefect.drain()
            prefect.read_environment()


def call(work: Callable[[Workspace], T], home: Home) -> T:
    """Work in a session, outside of any event loop."""

    def in_session() -> T:
        with session(home) as workspace:
            return work(workspace)

    return outside_loop(in_session)


def outside_loop(work: Callable[[], T]) -> T:
    """Work in another thread if an event loop runs in this one, as in a notebook.

    Prefect would take a flow for an asynchronous one if it is called where a loop runs.
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
    """Raise KeyboardInterrupt in the thread, where the run ends its worker and its records."""
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(KeyboardInterrupt))
