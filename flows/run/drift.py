"""Drift of new data from the champion's training data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import DataError, Problem
from configs.language import _, english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.champion.answers import under_own_names
from tasks.contract.report import record as outcome
from tasks.contract.report.record import Report
from tasks.contract.statistics import drift
from tasks.contract.statistics.drift import Measure
from tasks.contract.statistics.profile import Profile
from tasks.processes import calls
from tasks.tracking import registry, runs
from tasks.tracking.client import connect, patiently
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PROFILE = "model/artifacts/package/profile.json"
PREDICTIONS = "evaluation/predictions.json"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The drift measures, and the URI of the champion that they refer to."""

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
    validated: ValidationResult,
    *,
    predictions: int = 0,
) -> DriftReport | None:
    """Compare the training rows with those of the champion; None if there is nothing to compare.

    The champion also answers as many rows as ``predictions`` says, for a comparison with its
    answers to its own test rows.
    """
    version = patiently(
        lambda: registry.champion(client, config.model_name), _("find the champion")
    )
    if version is None:
        return None
    return against_version(config, workspace, client, validated, version, predictions=predictions)


def against_version(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    validated: ValidationResult,
    version: ModelVersion,
    *,
    predictions: int = 0,
) -> DriftReport | None:
    """Compare the training rows with those of a version, as :func:`against_champion` does."""
    if (before := _json(client, workspace, version, PROFILE)) is None:
        return None
    settings = config.contract.drift
    try:
        measures = drift.compare(validated.profile, Profile.from_dict(before), settings)
    except ValueError:
        # Another version of onestep wrote it in another format.
        return None
    known = _json(client, workspace, version, PREDICTIONS) if predictions else None
    if known:
        made = config, workspace, runs.portable(version), validated, predictions
        answers = calls.call(_answers, *made)
        measures.append(drift.shares("predictions", answers, known, settings))
    return DriftReport(runs.uri_of(version), measures)


def publish(
    config: Pipeline, workspace: Workspace, validated: ValidationResult, drifted: DriftReport | None
) -> Report:
    """Publish the contract's report with the drift, and with the refusal if there is one."""
    report = validated.report | (drifted.record() if drifted else {})
    if problem := _refusal(config, drifted):
        report |= {"verdict": "refused", "refusals": [str(problem)]}
    outcome.publish(workspace.root, report)
    return report


def require_none(config: Pipeline, drifted: DriftReport | None) -> None:
    """Refuse drifted data.

    Raises:
        DataError: it drifted, and ``contract.drift.severity`` is ``refuse``.
    """
    if problem := _refusal(config, drifted):
        raise DataError(problem)


def _refusal(config: Pipeline, drifted: DriftReport | None) -> Problem | None:
    if drifted and drifted.found and config.contract.drift.severity == "refuse":
        advice = english("see the report, or set contract.drift.severity: warn")
        return Problem("contract.drift", drifted.note, advice)
    return None


def _json(
    client: MlflowClient, workspace: Workspace, version: ModelVersion, path: str
) -> dict[str, Any] | None:
    """A record among the artifacts of a version's run, if it has one."""
    if not (run_id := version.run_id):
        return None
    record: dict[str, Any] | None = patiently(
        lambda: runs.read_artifact(client, workspace, run_id, path), _("read {path}", path=path)
    )
    return record


def _answers(
    config: Pipeline,
    workspace: Workspace,
    version: ModelVersion,
    validated: ValidationResult,
    size: int,
) -> Counter[str]:
    """The champion's answers to a sample of the training rows, by category."""
    connect(workspace)
    application = applications.get(config.application)
    rows = validated.table("train")
    size = min(size, len(rows))
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(rows))[:size])
    table = rows.take(chosen).to_pandas()[list(validated.facts.inputs)]
    model = runs.load_model(workspace, version)
    predict = under_own_names(model.predict, model.unwrap_python_model().settings)
    return Counter(application.scoring.categories(predict(table)) or [])
