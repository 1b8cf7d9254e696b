"""The report of a run, in the workspace and with the MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.language import english
from flows.run import pages
from flows.run.run import Outcome, Run, StageRun
from flows.tracking import records
from tasks.contract.report.record import Report
from tasks.finetuning import FinetuningResult
from tasks.report import run_page
from tasks.store import MANIFEST, StoredOutput, read_json
from tasks.training import events
from tasks.validation import ValidationResult

MOST_MISTAKES = 100
ORIGIN = {
    "onestep.base_model_name": english("Base model"),
    "onestep.base_model": english("Digest of the base model"),
    "onestep.data": english("Digest of the files"),
    "onestep.config": english("Digest of the config"),
    "onestep.code": english("Digest of the code"),
    "mlflow.source.git.commit": english("Git commit"),
    "onestep.version": "onestep",
}
Record = dict[str, Any]


def publish(run: Run, outcome: Outcome, links: Mapping[str, str]) -> Path:
    """Render the report, keep it and log it; return the page."""
    record = assemble(run, outcome, links)

    def draw(data: str, index: str) -> str:
        return run_page.render(record | {"data_page": data, "index": index})

    records.log_report(run.tracker, draw("validation/report.html", ""))
    metric = record["headline"]
    entry = {name: record[name] for name in ("decision", "verdict", "model", "headline")}
    entry |= {"value": record["metrics"][metric], "interval": record["interval"]}
    return _keep(run, entry, run.contract, draw)


def publish_failure(run: Run, error: Exception, reason: str) -> None:
    """List a run that ended without a result, with the page about its data if there is one."""
    refused = error.report if isinstance(error, DataError) else {}
    decision = english("Refused") if isinstance(error, DataError) else english("Failed")
    _keep(run, {"decision": decision, "verdict": reason}, run.contract or refused)


def _keep(run: Run, entry: Record, found: Report, draw: pages.Draw | None = None) -> Path:
    return pages.keep(run.workspace, run.config.name, run.fingerprint, entry, found, draw)


def assemble(run: Run, outcome: Outcome, links: Mapping[str, str]) -> Record:
    """The content of the report as JSON values."""
    evaluated, registered = outcome.evaluated, outcome.registered
    folder = evaluated.stored.path
    return {
        "pipeline": run.config.name,
        "application": run.config.application,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": registered.uri,
        "alias": registered.alias,
        "verdict": registered.verdict,
        "decision": registered.decision,
        "promoted": registered.promoted,
        "headline": evaluated.primary_metric,
        "metrics": evaluated.metrics,
        "interval": list(evaluated.interval),
        "confidence": run.config.evaluation.confidence_level,
        "baseline": {"name": evaluated.baseline_name} | evaluated.baseline,
        "hints": list(outcome.hints),
        "details": evaluated.details,
        "matrix": read_json(folder / "matrix.json"),
        "mistakes": read_json(folder / "mistakes.json")[:MOST_MISTAKES],
        "rows": outcome.results[ValidationResult].rows,
        "gate": registered.gate,
        "history": _history(outcome.results[FinetuningResult]),
        "contract": _contract(run.contract),
        "changes": outcome.changes.record() if outcome.changes else None,
        "stages": [_stage(run) for run in outcome.results],
        "cost": _cost(outcome),
        "origin": _origin(run, outcome),
        "links": dict(links),
    }


def _history(tuned: FinetuningResult) -> Record:
    records = events.history(tuned.stored.path)
    return {
        "steps": [[r["step"], r["loss"]] for r in records if r["kind"] == "step"],
        "validation": [
            r["metrics"] | {key: r[key] for key in ("step", "epoch", "improved")}
            for r in records
            if r["kind"] == "validation"
        ],
    }


def _contract(report: Report) -> Record:
    found = [rule for rule in report["rules"] if rule["found"]]
    record = {
        "verdict": report["verdict"],
        "rows": report["rows"],
        "found": [{key: rule[key] for key in ("name", "severity", "found")} for rule in found],
    }
    if measures := report.get("drift"):
        drifted = sum(measure["drifted"] for measure in measures)
        reference = report["drift_reference"]
        record["drift"] = english(
            "{drifted:d} of {count} measures drifted from {reference}.",
            drifted=drifted,
            count=len(measures),
            reference=reference,
        )
    return record


def _stage(run: StageRun) -> Record:
    return {
        "name": run.stage.name,
        "reused": run.result.reused,
        "seconds": run.seconds,
        "computed_in": run.computed_in,
        "note": run.result.note,
    }


def _cost(outcome: Outcome) -> Record:
    summary, gate = outcome.results[FinetuningResult].summary, outcome.registered.gate
    return {
        "compared": [asdict(cost) for cost in outcome.costs],
        "energy": summary.get("energy"),
        "latency_ms": (gate.get("cost") or {}).get("latency_ms"),
        "bytes": _package_bytes(outcome.evaluated.stored),
        "device": f"{summary['device']} ({summary['precision']})",
    }


def _package_bytes(stored: StoredOutput) -> int:
    files: dict[str, Record] = read_json(stored.path / MANIFEST)["files"]
    return sum(f["bytes"] for name, f in files.items() if name.startswith("package/"))


def _origin(run: Run, outcome: Outcome) -> dict[str, str]:
    tags = run.origin.tags
    known = {name: tags[tag] for tag, name in ORIGIN.items() if tags.get(tag)}
    return known | {english("Digest of the rows"): outcome.results[ValidationResult].digest}
