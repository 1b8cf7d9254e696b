"""Look models up in the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from configs.errors import ModelError, UserError
from configs.language import _, english
from flows.prefect_run import events
from flows.servers.leases import shared
from tasks.tracking import lineage as origins
from tasks.tracking import promotion, registry, runs
from tasks.tracking.client import reach
from tasks.tracking.promotion import ChampionChange
from tasks.tracking.registry import Reference
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def registered(workspace: Workspace, name: str | None) -> list[dict[str, Any]]:
    """Every version of one model, newest first; without a name, all versions with an alias.

    Of a model whose versions have no alias, the newest is among all models.

    A record is ``comparable`` if its metrics are of the champion's test rows, or of the newest
    version's where there is no champion.

    Raises:
        ModelError: no such model.
    """
    client = reach(workspace)
    names = _names(client, name)
    known = {one: registry.aliases(client, one) for one in names}
    records = [registry.describe(client, v, known[v.name]) for v in _versions(client, names)]
    newest = {record["name"]: record["version"] for record in reversed(records)}
    return [
        record
        for record in marked(records)
        if name is not None
        or record["aliases"]
        or (not known[record["name"]] and record["version"] == newest[record["name"]])
    ]


def marked(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, newest first, and whether their metrics can be compared."""
    reference: dict[str, dict[str, Any]] = {}
    for record in records:
        if registry.CHAMPION in record["aliases"] or record["name"] not in reference:
            reference[record["name"]] = record
    return [
        record | {"comparable": registry.comparable(record, reference[record["name"]])}
        for record in records
    ]


def _versions(client: MlflowClient, names: Iterable[str]) -> Iterator[ModelVersion]:
    for name in names:
        yield from registry.versions(client, name)


def _names(client: MlflowClient, name: str | None) -> list[str]:
    """One model, or all."""
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    if name is None:
        return names
    if name not in names:
        known = ", ".join(names) or _("none yet")
        raise ModelError.at(name, _("no such model"), _("registered: {known}", known=known))
    return [name]


def history(workspace: Workspace, name: str | None) -> list[dict[str, Any]]:
    """Every verdict of the gate and every change of the champion, oldest first.

    Raises:
        ModelError: no such model.
    """
    client, found = reach(workspace), []
    for version in _versions(client, _names(client, name)):
        found += [{"name": version.name} | entry for entry in registry.trail(version)]
        verdict = version.tags.get(registry.VERDICT, "")
        # The trail has promotions already.
        if verdict and not verdict.startswith("promoted"):
            found.append(_registration_entry(version, verdict))
    return sorted(found, key=lambda event: (event["time"], event["version"]))


def _registration_entry(version: ModelVersion, verdict: str) -> dict[str, Any]:
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "name": version.name,
        "time": made.isoformat(timespec="seconds"),
        "version": int(version.version),
        "event": english("registered"),
        "by": version.tags.get("mlflow.user", ""),
        "why": verdict,
        "before": None,
    }


def lineage(workspace: Workspace, model: str) -> dict[str, Any]:
    """The lineage of a version.

    Raises:
        ModelError: no such model, or one that onestep did not register.
    """
    client = reach(workspace)
    version = registry.look_up(client, Reference.parse(model))
    return origins.describe(client, workspace, origins.of(client, workspace, version))


def promote(workspace: Workspace, name: str, version: int, reason: str) -> ChampionChange:
    """Make a version the champion.

    Raises:
        ModelError: there is no such version, or it is the champion already.
        UserError: no reason is given.
    """
    return _change(workspace, reason, partial(promotion.promote, name=name, version=version))


def roll_back(workspace: Workspace, name: str, reason: str) -> ChampionChange:
    """Bring the previous champion back.

    Raises:
        ModelError: there is none.
        UserError: no reason is given.
    """
    return _change(workspace, reason, partial(promotion.roll_back, name=name))


def _change(
    workspace: Workspace, reason: str, change_champion: Callable[..., ChampionChange]
) -> ChampionChange:
    """Change the champion and record the event; the change stands even if recording fails."""
    client, reason = reach(workspace), _require_reason(reason)
    change = change_champion(shared(workspace), client, reason=reason)
    try:
        version = client.get_model_version(change.name, str(change.version))
        url = _run_url(client, workspace, version)
        events.note_champion_change(workspace, change.name, registry.trail(version)[-1], url)
    except Exception as error:
        note = english("its event was not recorded ({kind})", kind=type(error).__name__)
        return replace(change, note=note)
    return change


def _run_url(client: MlflowClient, workspace: Workspace, version: ModelVersion) -> str:
    """The address of a version's run; empty if it was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return runs.run_url(client, workspace, version.run_id) if version.run_id else ""
    except MlflowException:
        return ""


def _require_reason(reason: str) -> str:
    given = reason.strip()
    if not given:
        raise UserError.at("--reason", _("expected a reason, found nothing"))
    if any("\ud800" <= letter <= "\udfff" for letter in given):
        raise UserError.at("--reason", _("expected text in UTF-8"))
    return given
