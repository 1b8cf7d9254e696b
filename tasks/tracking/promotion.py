"""Promotion and rollback by a person, under the lease, with an audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import ModelError
from configs.language import _, english
from tasks.tracking import registry
from tasks.tracking.client import patiently
from tasks.tracking.registry import CHAMPION, PREVIOUS, Move, Reference
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class ChampionChange:
    """A completed change of the champion.

    Attributes:
        before: the previous champion, if there was one.
        verdict: the verdict of the gate on the new champion.
        note: what failed afterwards; the change stands.
    """

    name: str
    version: int
    before: int | None
    verdict: str
    note: str = ""


def promote(
    workspace: Workspace, client: MlflowClient, name: str, version: int, reason: str
) -> ChampionChange:
    """Make a version the champion, whatever the verdict of the gate.

    Raises:
        ModelError: there is no such version, or it is the champion already.
    """
    champion = patiently(
        lambda: registry.aliases(client, name).get(CHAMPION), _("look at {name}", name=name)
    )
    if champion == version:
        raise ModelError.at(f"models:/{name}/{version}", _("is the champion already"))
    move = Move(name, version, champion, registry.BY_HAND, reason)
    return _carry_out(workspace, client, move)


def roll_back(workspace: Workspace, client: MlflowClient, name: str, reason: str) -> ChampionChange:
    """Bring the previous champion back; a second rollback undoes the first.

    Raises:
        ModelError: there is none.
    """
    known = patiently(lambda: registry.aliases(client, name), _("look at {name}", name=name))
    champion, previous = known.get(CHAMPION), known.get(PREVIOUS)
    if previous is None or previous == champion:
        advice = _(
            "`onestep models {name}` lists its versions; `onestep promote` takes any", name=name
        )
        raise ModelError.at(name, _("there is no previous champion"), advice)
    move = Move(name, previous, champion, registry.ROLLED_BACK, reason)
    return _carry_out(workspace, client, move)


def _carry_out(workspace: Workspace, client: MlflowClient, move: Move) -> ChampionChange:
    """Change the champion, unless another version has become it in the meantime."""
    version = registry.look_up(client, Reference(move.name, None, str(move.version)))

    def attempt() -> None:
        with registry.lease(workspace, move.name):
            champion = registry.aliases(client, move.name).get(CHAMPION)
            if champion not in (move.before, move.version):
                message = _(
                    "version {champion} has become the champion in the meantime", champion=champion
                )
                raise ModelError.at(move.name, message, _("look at it, and decide again"))
            _settle(client, move)
            registry.make_champion(client, move)

    patiently(attempt, _("move the champion of {name}", name=move.name))
    verdict = version.tags.get(registry.VERDICT, "")
    return ChampionChange(move.name, move.version, move.before, verdict)


def _settle(client: MlflowClient, move: Move) -> None:
    """Give the old champion a verdict, so that its run, if killed, does not promote it again."""
    if move.before is None:
        return
    before = client.get_model_version(move.name, str(move.before))
    if registry.DECISION in before.tags and not registry.settled(before):
        words = english("promoted, and replaced by version {version} by hand", version=move.version)
        client.set_model_version_tag(move.name, str(move.before), registry.VERDICT, words)
