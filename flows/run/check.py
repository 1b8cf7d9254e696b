"""``onestep check``, ``preflight`` and ``drift``: the stages before training and their findings."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from configs.errors import DataError
from configs.schema import Pipeline
from flows.run import inputs
from flows.run.drift import DriftReport, against_champion, publish, require_none
from tasks.applications import registry as applications
from tasks.contract.report.record import Report
from tasks.contract.rows import quarantine
from tasks.contract.sources import splits
from tasks.finetuning import preflight as take_one_step
from tasks.tokenization import TokenizationResult, tokenize_rows
from tasks.training.model.initial_model import InitialModel
from tasks.validation import ValidationResult, validate
from tasks.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PreparedData:
    """The results of the stages before training."""

    validated: ValidationResult
    tokenized: TokenizationResult
    base: InitialModel


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The result of a check.

    Attributes:
        report: of the contract; None if the files could not be read.
        prepared: the stages' results, unless the data was refused.
        error: why it was refused.
    """

    report: Report | None
    prepared: PreparedData | None = None
    error: DataError | None = None

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep check --json``."""
        if self.prepared is None:
            return {"contract": self.report}
        validated, tokenized = self.prepared.validated, self.prepared.tokenized
        summary = {**validated.stored.summary, **tokenized.stored.summary}
        return {**summary, "labels": validated.facts.record(), "contract": self.report}


def prepare(pipeline: Pipeline, workspace: Workspace) -> PreparedData:
    """Run the stages before training."""
    inputs.quiet()
    found = inputs.locate(pipeline)
    validated = validate(pipeline, workspace, found.sources)
    inputs.require_fit(found.base, pipeline.application, workspace)
    tokenized = tokenize_rows(pipeline, workspace, validated, found.base)
    return PreparedData(validated, tokenized, found.base)


def preflight(pipeline: Pipeline, workspace: Workspace) -> tuple[PreparedData, dict[str, Any]]:
    """Run the stages before training, take one optimizer step, and predict the cost of a run.

    The second result is the record of the step, with ``run_seconds`` of the whole run.
    """
    started = time.perf_counter()
    ready = prepare(pipeline, workspace)
    prepared = time.perf_counter() - started
    report = take_one_step(pipeline, workspace, ready.validated, ready.tokenized, ready.base)
    forecast = report["forecast"]
    parts = ("training_seconds", "test_seconds")
    report["run_seconds"] = prepared + report["setup_seconds"] + sum(forecast[p] for p in parts)
    return ready, report


def check(pipeline: Pipeline, workspace: Workspace) -> DataCheck:
    """Check the data against the contract; the error of refused data is part of the result."""
    try:
        prepared = prepare(pipeline, workspace)
    except DataError as error:
        return DataCheck(error.report or None, error=error)
    validated, drifted = prepared.validated, None
    if workspace.database.exists() or not workspace.embedded:
        drifted = measure(pipeline, workspace, validated)
    report = publish(pipeline, workspace, validated, drifted)
    try:
        require_none(pipeline, drifted)
    except DataError as error:
        return DataCheck(report, error=error)
    return DataCheck(report, prepared)


def measure(
    pipeline: Pipeline, workspace: Workspace, validated: ValidationResult, predictions: int = 0
) -> DriftReport | None:
    """Compare valid rows with those of the champion."""
    from tasks.tracking.client import reach

    client = reach(workspace)
    return against_champion(pipeline, workspace, client, validated, predictions=predictions)


def drift(pipeline: Pipeline, workspace: Workspace) -> DriftReport | None:
    """Compare the declared data with the champion's, and its answers with those to its test rows.

    Raises:
        DataError: the data is not valid.
    """
    inputs.quiet()
    sources = splits.locate(pipeline.data, applications.get(pipeline.application).sources)
    validated = validate(pipeline, workspace, sources)
    rows = pipeline.contract.drift.num_predictions
    drifted = measure(pipeline, workspace, validated, rows)
    publish(pipeline, workspace, validated, drifted)
    return drifted


def quarantined(pipeline: Pipeline, workspace: Workspace) -> list[quarantine.Record]:
    """The quarantined rows, without their text."""
    path = quarantine.file_of(workspace.root, pipeline.name)
    names = ("split", "file", "row", "rules", "reasons")
    return [{name: entry.get(name) for name in names} for entry in quarantine.read(path)]
