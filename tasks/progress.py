"""Progress of a run for its listeners: a terminal, a Prefect artifact, a notebook, a test.

Stages announce updates; they never print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins."""

    stage: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage has completed: its wall time in this run, and one line about the result."""

    stage: str
    reused: bool
    seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the training process's event log.

    Attributes:
        kind: ``started``, ``step``, ``validation``, ``resumed`` or ``done``.
        values: the fields of the line.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know and that does not stop the run."""

    text: str


Update = StageStarted | StageFinished | Progress | Notice
Listener = Callable[[Update], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the updates of the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def announce(update: Update) -> None:
    """Send an update to the current listener, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(update)
