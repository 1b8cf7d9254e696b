"""The lineage of a version: settings, rows, base model and code, stored with its run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from configs.errors import ModelError, Problem
from configs.language import _
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.store import MANIFEST, read_json
from tasks.tracking import registry, runs
from tasks.tracking.runs import FINGERPRINT, uri_of
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from tasks.validation import ValidationResult

FILE: Final = "lineage.json"
GATE: Final = "gate.json"
"""The decision of the gate and its reasons, an artifact of the run."""
PACKAGE: Final = "model/artifacts/package"
LIBRARIES: Final = ("torch", "transformers", "tokenizers", "datasets", "peft", "numpy", "mlflow")
"""Libraries that affect the result of a training."""
PARTS: Final = ("config", "folder", "sources", "fixes", "rows", "quarantined", "rows_digest")
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lineage:
    """The lineage of a version, as :func:`record` wrote it."""

    version: ModelVersion
    record: Record

    @property
    def config(self) -> Pipeline:
        """The settings, with file names relative to where the pipeline's file was."""
        written = json.dumps(self.record["config"])
        try:
            kind = applications.get(self.record["config"]["application"]).pipeline
            return kind.model_validate_json(written).below(Path(self.record["folder"]))
        except ValidationError:
            made = self.version.tags.get("onestep.version", _("another version"))
            message = _("its settings are not those of this version of onestep")
            problem = Problem(uri_of(self.version), message, _("use onestep {made}", made=made))
            raise ModelError(problem) from None


def record(config: Pipeline, validated: ValidationResult) -> Record:
    """The lineage of a version that is about to be registered."""
    sources = validated.sources
    return {
        "config": config.model_dump(mode="json"),
        "folder": str(config.data.folder.resolve()),
        "sources": {
            split: {_below(config.data.folder, name): sources.digests[name] for name in files}
            for split, files in sources.files.items()
        },
        "fixes": read_json(validated.stored.path / MANIFEST)["inputs"]["fixes"],
        "reading": validated.reading,
        "rows": validated.rows,
        "quarantined": validated.quarantined,
        "rows_digest": validated.digest,
        "libraries": libraries(),
    }


def libraries() -> dict[str, str]:
    """Versions of the libraries that affect the result of a training."""
    return {name: installed(name) for name in LIBRARIES}


def _below(folder: Path, name: str) -> str:
    """A file name relative to the pipeline's file, if it is below its folder."""
    path = Path(name).resolve()
    root = folder.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else name


def of(client: MlflowClient, workspace: Workspace, version: ModelVersion) -> Lineage:
    """Find the lineage of a version.

    Raises:
        ModelError: the version was not made by a pipeline, or its artifacts are gone.
    """
    where = uri_of(version)
    found = (
        runs.read_artifact(client, workspace, str(version.run_id), FILE) if version.run_id else None
    )
    if found is None:
        raise ModelError.at(
            where, _("its run has no {file}", file=FILE), _("onestep did not register it")
        )
    if lacking := [part for part in PARTS if part not in found]:
        message = _("its {file} lacks {lacking}", file=FILE, lacking=", ".join(lacking))
        raise ModelError.at(where, message, _("another version of onestep registered it"))
    return Lineage(version, found)


def describe(client: MlflowClient, workspace: Workspace, lineage: Lineage) -> Record:
    """The lineage of a version with its verdict, metrics and history, as JSON values."""
    version, run_id = lineage.version, str(lineage.version.run_id)
    gate = runs.read_artifact(client, workspace, run_id, GATE) or {}
    known = registry.aliases(client, version.name)
    described = registry.describe(client, version, known)
    return {
        **{name: described[name] for name in ("name", "version", "uri", "aliases", "run_id")},
        "created": described["created"],
        "fingerprint": version.tags.get(FINGERPRINT, ""),
        "predecessor": gate.get("reference"),
        "verdict": described["verdict"],
        "metrics": described["metrics"],
        "gate": gate,
        "history": registry.trail(version),
        "base_model": {
            "name": version.tags.get("onestep.base_model_name", ""),
            "digest": version.tags.get("onestep.base_model", ""),
        },
        "code": {
            "digest": version.tags.get("onestep.code", ""),
            "onestep": version.tags.get("onestep.version", ""),
            "revision": version.tags.get("mlflow.source.git.commit", ""),
        },
        "data": {"digest": version.tags.get("onestep.data", "")}
        | {k: lineage.record[k] for k in ("sources", "rows", "quarantined", "rows_digest")},
        "config": lineage.record["config"],
        "folder": lineage.record["folder"],
        "libraries": lineage.record["libraries"],
    }
