"""Put an evaluated model into MLflow: its files with its run, then its version."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.schema import Pipeline
from tasks.champion import row_hashes
from tasks.champion.comparison import PROBLEM
from tasks.evaluation import EvaluationResult
from tasks.store import StoredOutput, read_json
from tasks.tracking import lineage, packaging, registry
from tasks.tracking.client import transfer
from tasks.tracking.runs import FINGERPRINT, log_folder
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ARTIFACT = "model"
PACKAGE = "onestep.package"
"""Tag with the digest of everything that a version serves."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The evaluated model of a fingerprint, and the rows that it was made of."""

    config: Pipeline
    workspace: Workspace
    client: MlflowClient
    evaluated: EvaluationResult
    validated: ValidationResult
    fingerprint: str

    @property
    def package(self) -> str:
        """Digest of everything that the model serves."""
        return packaging.package_digest(self.evaluated.package)

    @property
    def problem(self) -> str:
        """How rows are labelled and in which languages, in words."""
        settings = read_json(self.evaluated.package / "predictor.json")
        parts = [settings.get("labelling", ""), *settings.get("languages", ())]
        return " ".join(part for part in parts if part)

    def create(self, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """Register a version; ``tags`` are those of its origin."""
        self._send(run_id)
        tags = {
            **self.config.registry.tags,
            FINGERPRINT: self.fingerprint,
            registry.PRIMARY_METRIC: self.evaluated.primary_metric,
            PROBLEM: self.problem,
            registry.TEST_ROWS: self._hashes().summary["test"],
            PACKAGE: self.package,
            **tags,
        }
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
        return registry.create(self.client, self.config.model_name, source, run_id, tags)

    def complete(self, version: ModelVersion) -> None:
        """Make sure that a killed run's version holds the model that was evaluated now."""
        if version.tags.get(PACKAGE) != self.package:
            self._send(str(version.run_id))
            named = version.name, str(version.version)
            self.client.set_model_version_tag(*named, PACKAGE, self.package)

    def _send(self, run_id: str) -> None:
        scratch = self.workspace.scratch(f"register-{self.fingerprint[:32]}")
        batch_size = self.config.evaluation.batch_size
        model = packaging.save(scratch / ARTIFACT, self.evaluated.package, batch_size)
        log_folder(self.client, run_id, model, ARTIFACT)
        shutil.rmtree(scratch)
        with transfer():
            for name in row_hashes.FILES:
                self.client.log_artifact(run_id, str(self._hashes().path / name))
        self.client.log_dict(run_id, lineage.record(self.config, self.validated), lineage.FILE)

    def _hashes(self) -> StoredOutput:
        return row_hashes.store(self.workspace, self.validated, self.config.application)
