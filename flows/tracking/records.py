"""Log the results of a run to MLflow: data, evaluation, comparison, report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.tracking.tracker import Tracker
from tasks.contract.report.page import render
from tasks.contract.report.record import Report
from tasks.evaluation import Evaluated
from tasks.finetuning import Tuned
from tasks.report import page
from tasks.store import lock
from tasks.tracking import comparison_run, datasets, registry, runs
from tasks.tracking.registry import TEST
from tasks.validation import Validated

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_data(tracker: Tracker, validated: Validated, report: Report) -> None:
    """Log the data sets, the contract's report and the profile, not the quarantined text."""
    tags = {
        "onestep.contract.verdict": report["verdict"],
        "onestep.contract.rules": str(len(report["rules"])),
        "onestep.contract.quarantined": str(report["rows"]["quarantined"]),
        "onestep.rows": validated.digest,
    }
    config, locks = tracker.config, tracker.workspace.locks

    def log(client: MlflowClient, run_id: str) -> None:
        runs.log_tags(client, run_id, tags)
        with lock(locks / f"inputs-{config.name}.lock"):
            client.log_inputs(run_id, datasets.of_splits(validated))
        client.log_dict(run_id, report, "validation/report.json")
        profile = str(validated.stored.path / "profile.json")
        client.log_artifact(run_id, profile, "validation")
        client.log_text(run_id, render(report), "validation/report.html")

    tracker.send(log, "log the data report")


def log_evaluation(tracker: Tracker, evaluated: Evaluated, tuned: Tuned) -> None:
    """Log test metrics, interval, tables, plots and the cost of the training."""
    workspace = tracker.workspace
    figures, tags = _figures(evaluated, tuned), _tags(evaluated, tuned)

    def log(client: MlflowClient, run_id: str) -> None:
        runs.log_tags(client, run_id, tags)
        with runs.lease(workspace, tracker.fingerprint):
            kept = _is_registered(tracker, client)
            runs.log_figures(client, run_id, figures, int(tuned.summary["steps"]), kept)
        with lock(workspace.locks / f"evaluation-{run_id}.lock"):
            found = client.list_artifacts(run_id, "evaluation")
            known = {entry.path for entry in found} if kept and not workspace.fresh else ()
            runs.log_files(client, run_id, evaluated.stored.path, "evaluation", known)

    tracker.send(log, "log the evaluation")


def _figures(evaluated: Evaluated, tuned: Tuned) -> dict[str, float]:
    low, high = evaluated.interval
    bounds = {f"{evaluated.primary_metric}_low": low, f"{evaluated.primary_metric}_high": high}
    figures = {f"{TEST}{k}": v for k, v in (evaluated.metrics | bounds).items()}
    figures |= {f"baseline/{k}": v for k, v in evaluated.baseline.items()}
    figures["train/seconds"] = float(tuned.summary["seconds"])
    figures["train/peak_memory_bytes"] = float(tuned.summary["peak_memory"])
    if used := tuned.summary.get("energy"):
        figures["train/energy_wh"] = used["wh"]
    return figures


def _tags(evaluated: Evaluated, tuned: Tuned) -> dict[str, str]:
    tags = {f"signature.{k}": v for k, v in evaluated.signatures.items()}
    tags["baseline"] = evaluated.baseline_name
    if used := tuned.summary.get("energy"):
        tags["onestep.energy"] = page.found(used["how"])
    return tags


def _is_registered(tracker: Tracker, client: MlflowClient) -> bool:
    """Whether this run has registered a version that has its final verdict."""
    made = registry.find(client, tracker.config.model_name, tracker.fingerprint)
    return made is not None and registry.settled(made)


def log_comparison(tracker: Tracker, gate: Mapping[str, Any]) -> None:
    """Log what the gate compared to a nested run, if there was a champion."""
    if not gate.get("reference"):
        return

    def log(client: MlflowClient, run_id: str) -> None:
        with runs.lease(tracker.workspace, tracker.fingerprint):
            comparison_run.log(client, run_id, gate)

    tracker.send(log, "log the comparison")


def log_report(tracker: Tracker, html: str) -> None:
    """Log the report of the run, replacing an earlier one."""
    tracker.send(
        lambda client, run_id: client.log_text(run_id, html, "report.html"), "log the report"
    )
