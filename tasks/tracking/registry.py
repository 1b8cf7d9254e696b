"""The MLflow model registry: versions by fingerprint, aliases under a lease."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from configs.errors import ModelError, Problem, TrackingFailure
from configs.language import _, english
from tasks.tracking.client import ignoring, transfer
from tasks.tracking.runs import FINGERPRINT, uri_of
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ROLES = (CHAMPION, CHALLENGER)
VERDICT = "onestep.verdict"
DECISION = "onestep.decision"
"""Tag of a version that the gate has decided on; its alias may not have moved yet."""
WITHDRAWN = "withdrawn: "
"""Prefix of the verdict of a version whose registration was interrupted and may continue."""
BY_HAND, ROLLED_BACK = english("promoted"), english("rolled back")
"""Events of the audit trail."""
PRIMARY_METRIC = "onestep.headline"
TEST_ROWS = "onestep.test_rows"
"""Tag with the digest of the test rows: only metrics of the same rows can be compared."""
AUDIT = "onestep.audit."
"""Followed by the time; one tag for each move of the champion."""
TEST = "test/"
"""Prefix of the test metrics in MLflow."""
PAGE = 100
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error codes for an unknown model, alias or version."""
MOST_DIGITS = 9
"""Of a version number that a database takes."""


def lease(workspace: Workspace, name: str) -> AbstractContextManager[None]:
    """Hold the exclusive right to add versions and move aliases of a model."""
    return workspace.lease(f"registry-{name}")


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of a model, newest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def find(client: MlflowClient, name: str, fingerprint: str) -> ModelVersion | None:
    """The version of a fingerprint, if it is registered; the oldest if there are several."""
    made = _made_by(client, name, fingerprint)
    return made[-1] if made else None


def _made_by(client: MlflowClient, name: str, fingerprint: str) -> list[ModelVersion]:
    return [v for v in versions(client, name) if v.tags.get(FINGERPRINT) == fingerprint]


def settled(version: ModelVersion) -> bool:
    """Whether a version has its final verdict."""
    verdict = version.tags.get(VERDICT, "")
    return bool(verdict) and not verdict.startswith(WITHDRAWN)


def aliases(client: MlflowClient, name: str) -> dict[str, int]:
    """Alias to version number; empty if the model does not exist."""
    with ignoring("RESOURCE_DOES_NOT_EXIST"):
        found = client.get_registered_model(name).aliases
        return {alias: int(version) for alias, version in found.items()}
    return {}


def champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The champion of a model, if there is one."""
    number = aliases(client, name).get(CHAMPION)
    return None if number is None else client.get_model_version(name, str(number))


def create(
    client: MlflowClient, name: str, source: str, run_id: str, tags: Mapping[str, str]
) -> ModelVersion:
    """Register a version, creating the model on first use; call it under the lease.

    A retry after a lost answer may register a second version: of several versions with one
    fingerprint only the oldest is kept.
    """
    with transfer():
        with ignoring("RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(name)
        made = client.create_model_version(name, source, run_id=run_id, tags=dict(tags))
    return _only(client, name, tags.get(FINGERPRINT, "")) or made


def _only(client: MlflowClient, name: str, fingerprint: str) -> ModelVersion | None:
    made = _made_by(client, name, fingerprint)
    for surplus in made[:-1]:
        client.delete_model_version(name, str(surplus.version))
    return made[-1] if made else None


def set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    """Move an alias and check that it moved.

    Raises:
        TrackingFailure: it has not moved.
    """
    client.set_registered_model_alias(name, alias, str(version))
    if aliases(client, name).get(alias) != version:
        raise TrackingFailure(
            _(
                "the alias {alias} of {name} did not move to version {version}",
                alias=alias,
                name=name,
                version=version,
            )
        )


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the champion, which can be repeated if it was interrupted.

    Attributes:
        event: ``promoted`` or ``rolled back``.
        why: the verdict of the gate, or the reason that a person gave.
    """

    name: str
    version: int
    before: int | None
    event: str
    why: str


def make_champion(client: MlflowClient, move: Move) -> None:
    """Make a version the champion and extend the audit trail; call it under the lease.

    The trail comes first, so that every champion has an entry. Steps that an earlier attempt
    completed are not repeated.
    """
    known = aliases(client, move.name)
    if known.get(CHAMPION) != move.version:
        _leave_trail(client, move)
        set_alias(client, move.name, CHAMPION, move.version)
    if move.before not in (None, known.get(PREVIOUS)):
        set_alias(client, move.name, PREVIOUS, move.before)
    if known.get(CHALLENGER) == move.version:
        client.delete_registered_model_alias(move.name, CHALLENGER)


def _leave_trail(client: MlflowClient, move: Move) -> None:
    note = {"event": move.event, "by": getpass.getuser(), "why": move.why, "before": move.before}
    if _newest_entry(client, move.name) == (str(move.version), note):
        return
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    client.set_model_version_tag(move.name, str(move.version), f"{AUDIT}{now}", json.dumps(note))


def _newest_entry(client: MlflowClient, name: str) -> tuple[str, dict[str, Any]] | None:
    """The newest entry of the audit trail, whose move may be incomplete: version and note."""
    notes = [
        (key, str(version.version), note)
        for version in versions(client, name)
        for key, note in version.tags.items()
        if key.startswith(AUDIT)
    ]
    if not notes:
        return None
    _, version, note = max(notes)
    return version, json.loads(note)


def trail(version: ModelVersion) -> list[dict[str, Any]]:
    """Each promotion of a version to champion: time, person, reason and predecessor."""
    tags = sorted((k, v) for k, v in version.tags.items() if k.startswith(AUDIT))
    return [
        {"time": _time(key), "version": int(version.version)} | json.loads(note)
        for key, note in tags
    ]


def _time(key: str) -> str:
    written = datetime.strptime(key.removeprefix(AUDIT), "%Y%m%dT%H%M%S.%fZ")
    return written.replace(tzinfo=UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a model: ``NAME``, ``NAME@ALIAS`` or ``NAME/VERSION``."""

    name: str
    alias: str | None
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Split a reference; without alias and version it means the champion."""
        text = text.removeprefix("models:/")
        if "@" in text:
            name, alias = text.split("@", 1)
            return cls(name, alias, None)
        name, _, version = text.partition("/")
        return cls(name, None if version else CHAMPION, version or None)

    @property
    def uri(self) -> str:
        """As MLflow writes it."""
        chosen = f"@{self.alias}" if self.alias else f"/{self.version}"
        return f"models:/{self.name}{chosen}"


def look_up(client: MlflowClient, reference: Reference) -> ModelVersion:
    """Find a version.

    Raises:
        ModelError: naming the models or aliases that exist.
    """
    if len(reference.version or "") > MOST_DIGITS:
        raise ModelError(_unknown(client, reference))
    with ignoring(*UNKNOWN):
        if reference.alias:
            return client.get_model_version_by_alias(reference.name, reference.alias)
        return client.get_model_version(reference.name, str(reference.version))
    raise ModelError(_unknown(client, reference))


def _unknown(client: MlflowClient, reference: Reference) -> Problem:
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    if reference.name not in names:
        known = ", ".join(names) or _("none yet; `onestep run` registers one")
        return Problem(reference.uri, _("no such model"), _("registered: {known}", known=known))
    known = ", ".join(f"@{alias}" for alias in sorted(aliases(client, reference.name)))
    found = [f"{reference.name}/{one.version}" for one in versions(client, reference.name)]
    return Problem(
        reference.uri,
        _("no such version"),
        _("aliases: {known}; versions: {found}", known=known or _("none"), found=", ".join(found)),
    )


def metrics_of(client: MlflowClient, version: ModelVersion) -> dict[str, float]:
    """The test metrics that a version was registered with."""
    logged = client.get_run(version.run_id).data.metrics if version.run_id else {}
    return {k.removeprefix(TEST): v for k, v in logged.items() if k.startswith(TEST)}


def comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the metrics of two described versions are of the same test rows."""
    same = bool(one["test_rows"]) and one["test_rows"] == other["test_rows"]
    return same or bool(one["uri"] == other["uri"])


def describe(
    client: MlflowClient, version: ModelVersion, known: Mapping[str, int]
) -> dict[str, Any]:
    """A version as JSON values: metrics, data, age, aliases."""
    number = int(version.version)
    metrics = metrics_of(client, version)
    primary_metric = version.tags.get(PRIMARY_METRIC, "")
    return {
        "name": version.name,
        "version": number,
        "aliases": sorted(alias for alias, at in known.items() if at == number),
        "headline": primary_metric,
        "value": metrics.get(primary_metric),
        "metrics": metrics,
        "test_rows": version.tags.get(TEST_ROWS, ""),
        "data": version.tags.get("onestep.data", ""),
        "base_model": version.tags.get("onestep.base_model_name", ""),
        "verdict": version.tags.get(VERDICT, ""),
        "created": version.creation_timestamp / 1000,
        "run_id": version.run_id,
        "uri": uri_of(version),
    }
