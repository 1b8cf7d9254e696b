"""How far new data is from that of the champion."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import DataError, Problem
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.arrow import MappedTable
from tasks.contract.report import record as outcome
from tasks.contract.report.record import Report
from tasks.contract.statistics import drift
from tasks.contract.statistics.drift import Measure
from tasks.contract.statistics.profile import Profile
from tasks.tracking import registry, runs
from tasks.tracking.client import patiently
from tasks.tracking.runs import load_model, uri_of
from tasks.validation import Validated
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PROFILE = "model/artifacts/package/profile.json"
PREDICTIONS = "evaluation/predictions.json"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The comparison with the champion.

    Attributes:
        reference: the champion's URI.
        measures: what was compared.
    """

    reference: str
    measures: list[Measure]

    @property
    def found(self) -> bool:
        """Whether anything drifted."""
        return any(measure.drifted for measure in self.measures)

    @property
    def note(self) -> str:
        """One line for people."""
        return drift.sentence(self.measures, self.reference)

    def record(self) -> dict[str, Any]:
        """As the report of the contract has it."""
        return {
            "drift": [measure.record() for measure in self.measures],
            "drift_reference": self.reference,
        }


def against_champion(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    validated: Validated,
    *,
    predictions: int = 0,
) -> DriftReport | None:
    """Compare the training rows with those of the champion; None if there is nothing to compare.

    Args:
        config: the pipeline.
        workspace: where files are downloaded to.
        client: of MLflow.
        validated: the new rows.
        predictions: rows that the champion predicts, to compare its answers with those to its own
            test rows.
    """
    version = patiently(lambda: registry.champion(client, config.model_name), "find the champion")
    if version is None or (before := _json(client, workspace, version, PROFILE)) is None:
        return None
    settings = config.contract.drift
    try:
        measures = drift.compare(validated.profile, Profile.from_dict(before), settings)
    except ValueError:
        # Of another version of this project, in another form.
        return None
    known = _json(client, workspace, version, PREDICTIONS) if predictions else None
    if known:
        answers = _answers(config, workspace, version, validated, predictions)
        measures.append(drift.shares("predictions", answers, known, settings))
    return DriftReport(uri_of(version), measures)


def publish(
    config: Pipeline, workspace: Workspace, validated: Validated, drifted: DriftReport | None
) -> Report:
    """Publish the contract's report with what drifted, and what the contract says to that."""
    report = validated.report | (drifted.record() if drifted else {})
    if problem := _refusal(config, drifted):
        report |= {"verdict": "refused", "refusals": [str(problem)]}
    outcome.publish(workspace.root, report)
    return report


def require_none(config: Pipeline, drifted: DriftReport | None) -> None:
    """Refuse drifted data if the contract says so.

    Raises:
        DataError: it drifted, and ``contract.drift.severity`` is ``refuse``.
    """
    if problem := _refusal(config, drifted):
        raise DataError(problem)


def _refusal(config: Pipeline, drifted: DriftReport | None) -> Problem | None:
    if drifted and drifted.found and config.contract.drift.severity == "refuse":
        advice = "see the report, or set contract.drift.severity: warn"
        return Problem("contract.drift", drifted.note, advice)
    return None


def _json(
    client: MlflowClient, workspace: Workspace, version: ModelVersion, artifact: str
) -> dict[str, Any] | None:
    """A record among the artifacts of a version's run, if it has it."""
    if not version.run_id:
        return None
    run_id = version.run_id

    def look() -> dict[str, Any] | None:
        record: dict[str, Any] | None = runs.read_artifact(client, workspace, run_id, artifact)
        return record

    return patiently(look, f"read {artifact}")


def _answers(
    config: Pipeline, workspace: Workspace, version: ModelVersion, validated: Validated, size: int
) -> Counter[str]:
    """What the champion says to a sample of the training rows."""
    application = applications.get(config.application)
    rows = MappedTable(validated.stored.path / "train.arrow")
    size = min(size, len(rows))
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(rows))[:size])
    table = rows.take(chosen).to_pandas()[list(validated.facts.inputs)]
    model = load_model(workspace, version)
    return Counter(application.scoring.categories(model.predict(table)) or [])
