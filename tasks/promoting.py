"""A person moves the champion: a promotion or a rollback, under the lease, with a trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import registry
from tasks.errors import ModelError, Problem
from tasks.registry import CHAMPION, PREVIOUS, Reference
from tasks.tracking import patiently
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class Moved:
    """The champion has changed.

    Attributes:
        name: the model.
        version: the champion now.
        before: the champion until now, if there was one.
        verdict: what the gate had said of the new one.
    """

    name: str
    version: int
    before: int | None
    verdict: str


def promote(
    workspace: Workspace, client: MlflowClient, name: str, version: int, reason: str
) -> Moved:
    """Make a version the champion, whatever the gate has said of it.

    Raises:
        ModelError: there is no such version, or it is the champion already.
    """

    def move() -> Moved:
        with registry.lease(workspace, name):
            if registry.aliases(client, name).get(CHAMPION) == version:
                raise ModelError(Problem(f"models:/{name}/{version}", "is the champion already"))
            return _enthrone(client, name, version, "promoted", reason)

    return patiently(move, f"promote {name}")


def roll_back(workspace: Workspace, client: MlflowClient, name: str, reason: str) -> Moved:
    """Bring the previous champion back; a second rollback undoes the first.

    Raises:
        ModelError: there is none.
    """

    def move() -> Moved:
        with registry.lease(workspace, name):
            previous = registry.aliases(client, name).get(PREVIOUS)
            if previous is None:
                advice = f"`onestep models {name}` lists its versions; `onestep promote` takes any"
                raise ModelError(Problem(name, "there is no previous champion", advice))
            return _enthrone(client, name, previous, "rolled back", reason)

    return patiently(move, f"roll {name} back")


def _enthrone(client: MlflowClient, name: str, number: int, event: str, reason: str) -> Moved:
    version = registry.look_up(client, Reference(name, None, str(number)))
    before = registry.enthrone(client, name, number, event, reason)
    return Moved(name, number, before, version.tags.get(registry.VERDICT, ""))
