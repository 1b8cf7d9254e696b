"""Launchers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tasks import extensions
from tasks.training.launchers.base import Launcher
from tasks.training.launchers.local import LocalLauncher

GROUP: Final = "onestep.launchers"
LAUNCHERS: Final[dict[str, Callable[[], Launcher]]] = {"local": LocalLauncher}


def create(name: str) -> Launcher:
    """A new launcher, for one job."""
    return extensions.load(GROUP, name, LAUNCHERS)()


def refusal(name: str) -> str:
    """Why there is no such launcher, with a suggestion; empty if there is."""
    return extensions.refusal(GROUP, name, LAUNCHERS)
