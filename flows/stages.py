"""The stages of the pipeline in order, each with its artifacts, events and log entries."""

from __future__ import annotations

from configs.language import english
from flows.prefect_run import events
from flows.run import drift
from flows.run.run import Run, Stage
from flows.tracking import records
from tasks import evaluation, finetuning, tokenization, validation
from tasks.evaluation import EvaluationResult, evaluate
from tasks.finetuning import FinetuningResult, finetune
from tasks.processes import calls
from tasks.progress import Notice, announce
from tasks.registration import RegistrationResult, register
from tasks.tokenization import TokenizationResult, tokenize_rows
from tasks.validation import ValidationResult, validate


def _validate(run: Run) -> ValidationResult:
    """Check the labelled rows against the contract, and measure their drift from the champion's."""
    from flows.prefect_run import artifacts

    validated = validate(run.config, run.workspace, run.inputs.sources, calls.prepare)
    _compare_with_champion(run, validated)
    artifacts.contract(run.config.name, run.contract)
    return validated


def _compare_with_champion(run: Run, validated: ValidationResult) -> None:
    """Measure drift, publish the contract's report with it, and refuse if the contract says so."""
    config, workspace, run.contract = run.config, run.workspace, validated.report
    drifted = drift.against_champion(config, workspace, run.tracker.client, validated)
    run.contract = drift.publish(config, workspace, validated, drifted)
    if drifted and drifted.found:
        announce(Notice(drifted.note))
        events.emit_drift(config.name, drifted, run.tracker.url())
    records.log_data(run.tracker, validated, run.contract)
    drift.require_none(config, drifted)


def _tokenize(run: Run) -> TokenizationResult:
    """Turn rows into token ids."""
    return tokenize_rows(run.config, run.workspace, run[ValidationResult], run.inputs.base)


def _finetune(run: Run) -> FinetuningResult:
    """Train with live progress, and send every step to MLflow."""
    from flows.prefect_run import artifacts

    inputs = run[ValidationResult], run[TokenizationResult], run.inputs.base
    with artifacts.progress():
        tuned = finetune(run.config, run.workspace, *inputs, run.tracker.training.watch)
    run.tracker.training.complete(tuned.stored.path)
    return tuned


def _evaluate(run: Run) -> EvaluationResult:
    """Score the model that will be served."""
    inputs = run[ValidationResult], run[TokenizationResult], run[FinetuningResult]
    evaluated = evaluate(run.config, run.workspace, *inputs)
    records.log_evaluation(run.tracker, evaluated, run[FinetuningResult])
    return evaluated


def _register(run: Run) -> RegistrationResult:
    """Register the model, and let the gate decide about its alias."""

    def decided(registered: RegistrationResult) -> None:
        events.note_decision(run.workspace, run.config.name, registered, run.tracker.url())

    inputs = run.tracker.client, run[EvaluationResult], run[ValidationResult], run.origin
    return register(run.config, run.workspace, *inputs, on_decision=decided, trial=run.trial)


STAGES: list[Stage] = [
    Stage(english("validation"), _validate, validation.VERSION),
    Stage(english("tokenization"), _tokenize, tokenization.VERSION),
    Stage(english("fine-tuning"), _finetune, finetuning.VERSION),
    Stage(english("evaluation"), _evaluate, evaluation.VERSION),
    Stage(english("registration"), _register),
]
