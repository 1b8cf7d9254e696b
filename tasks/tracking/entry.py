"""The state of a fingerprint in the registry: its version, the decision about it, the champion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.tracking import lineage, registry, runs
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """The state of a fingerprint.

    Attributes:
        version: None if the fingerprint is not registered.
        champion: of the model.
        record: the decision about the version; None without one that holds today.
        settled: whether the version has its verdict, so that nothing is left to do.
    """

    version: ModelVersion | None
    champion: ModelVersion | None
    record: Record | None = None
    settled: bool = False

    @property
    def by_hand(self) -> bool:
        """Whether a person has made the version the champion before the gate decided."""
        return self.version is not None and number_of(self.version) == number_of(self.champion)

    @property
    def compared_with(self) -> ModelVersion | None:
        """The champion that the version has to be compared with."""
        return self.champion if self.record is None and not self.by_hand else None


def look(client: MlflowClient, workspace: Workspace, name: str, fingerprint: str) -> Entry:
    """Read the state of a fingerprint of the model ``name``."""
    champion = registry.champion(client, name)
    version = registry.find(client, name, fingerprint)
    if version is None:
        return Entry(None, champion)
    settled = registry.settled(version)
    if not settled and not _holds(version, champion):
        return Entry(version, champion)
    path = lineage.GATE
    record: Record | None = runs.read_artifact(client, workspace, str(version.run_id), path)
    if settled:
        record = (record or {}) | _verdict(client, version)
    return Entry(version, champion, record, settled)


def _holds(version: ModelVersion, champion: ModelVersion | None) -> bool:
    """Whether the gate has decided about a version, against the champion of today."""
    if not (written := version.tags.get(registry.DECISION)):
        return False
    return number_of(champion) in (json.loads(written)["before"], int(version.version))


def _verdict(client: MlflowClient, version: ModelVersion) -> Record:
    """The verdict about a version, and the alias that it has now."""
    known = registry.aliases(client, version.name)
    held = [alias for alias in registry.ROLES if known.get(alias) == int(version.version)]
    return {"verdict": version.tags[registry.VERDICT], "alias": held[0] if held else None}


def number_of(version: ModelVersion | None) -> int | None:
    """The number of a version; None without one."""
    return None if version is None else int(version.version)
