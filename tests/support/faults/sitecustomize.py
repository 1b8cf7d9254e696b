"""Makes one call of the product deadly or slow, where a test needs an exact moment.

Python imports this file by itself where PYTHONPATH names its folder, in workers too. The variable
ONESTEP_TEST_FAULT says ``module:function:call:action``: when that call of the function begins,
``kill-self``, ``kill-parent`` or ``kill-both`` with SIGKILL; ``full`` raises what a full disk
raises; ``sleep-SECONDS`` slows every call from that one on.
"""

from __future__ import annotations

import errno
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import psutil

PARENT_SECONDS = 5.0
FAULT = os.environ.get("ONESTEP_TEST_FAULT", "")


def act(action: str) -> None:
    """Kill, sleep or raise."""
    what, _, argument = action.partition("-")
    if what == "sleep":
        time.sleep(float(argument))
    if what == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if argument in ("parent", "both"):
        os.kill(command(), signal.SIGKILL)
    if argument in ("self", "both"):
        os.kill(os.getpid(), signal.SIGKILL)
    if argument == "parent":
        # The kernel takes a while to free a large process before it closes what tells of its end,
        # and the steps of a tiny model take none.
        time.sleep(PARENT_SECONDS)


def command() -> int:
    """The parent of this process, or if it is a fork of a server, that of the server."""
    process = psutil.Process().parent()
    while process is not None and "tasks.processes.fork_server" in process.cmdline():
        process = process.parent()
    assert process is not None
    return process.pid


def faulty(function: Callable[..., Any], call: int, action: str) -> Callable[..., Any]:
    """The function, with a fault when it is called for the nth time."""
    calls = itertools.count(1)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        if number == call or (number > call and action.startswith("sleep")):
            act(action)
        return function(*arguments, **named)

    return wrapper


class Saboteur(importlib.abc.MetaPathFinder):
    """Wraps the function as soon as its module has been imported."""

    def __init__(self, module: str, function: str, call: int, action: str) -> None:
        self.module = module
        self.function = function
        self.call = call
        self.action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module the ordinary way, and hook into its execution."""
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: self.sabotage(execute, module)  # type: ignore
        return spec

    def sabotage(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        """Execute the module and replace the function in it."""
        execute(module)
        *owners, name = self.function.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, name, faulty(getattr(owner, name), self.call, self.action))


if FAULT:
    where, what, count, todo = FAULT.split(":")
    sys.meta_path.insert(0, Saboteur(where, what, int(count), todo))
