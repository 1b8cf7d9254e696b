"""Log the results of a run to MLflow: data, evaluation, comparison, report."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import types

from configs.language import _
from flows.tracking.tracker import Tracker
from tasks.contract.report.page import render
from tasks.contract.report.record import Report
from tasks.contract.sources.splits import SPLITS
from tasks.evaluation import EvaluationResult
from tasks.finetuning import FinetuningResult
from tasks.registration import RegistrationResult
from tasks.report import page
from tasks.store import digest, lock
from tasks.tracking import registry, runs
from tasks.tracking.registry import TEST
from tasks.validation import ValidationResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

DIGITS = 8
"""Length of a digest, as in MLflow."""
PLACES = frozenset({"file", "row"})
"""Columns with the origin of a row."""
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
"""The description of a run."""
FORBIDDEN = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow does not allow in metric names."""
LONGEST_NAME = 150
MOST_FILES = 50
"""Names of files that surely fit into MLflow's description of a data set; the lineage has all."""


def log_data(tracker: Tracker, validated: ValidationResult, report: Report) -> None:
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
            client.log_inputs(run_id, _datasets(validated))
        client.log_dict(run_id, report, "validation/report.json")
        profile = str(validated.stored.path / "profile.json")
        client.log_artifact(run_id, profile, "validation")
        client.log_text(run_id, render(report), "validation/report.html")

    tracker.send(log, _("log the data report"))


def _datasets(validated: ValidationResult) -> list[DatasetInput]:
    """One data set of MLflow per split, with its schema and size."""
    return [_dataset(split, validated) for split in SPLITS]


def _dataset(split: str, validated: ValidationResult) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # A split without files is a fraction of the training rows.
    sources = validated.sources
    found = sources.splits.get(split) or sources.splits["train"]
    kind, source = found[0].origin([one.name for one in found[:MOST_FILES]])
    names = {Path(one.name).name for one in found[:MOST_FILES]}
    if reading := [one for one in validated.reading if one["file"] in names]:
        source |= {"reading": reading}
    table = validated.table(split)
    profile = {"num_rows": len(table), "num_elements": len(table) * len(_columns(table.schema))}
    dataset = Dataset(
        f"{validated.pipeline}-{split}",
        validated.stored.content(f"{split}.arrow")[:DIGITS],
        kind,
        json.dumps(source),
        json.dumps({"mlflow_colspec": _columns(table.schema)}),
        json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split)])


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns in MLflow's format."""
    from mlflow.types.schema import ColSpec

    fields = [field for field in schema if field.name not in PLACES]
    return [ColSpec(_type(field.type), field.name).to_dict() for field in fields]


def _type(kind: pa.DataType) -> Any:
    from mlflow.types.schema import AnyType, Array, DataType

    if types.is_string(kind) or types.is_large_string(kind):
        return DataType.string
    if types.is_integer(kind):
        return DataType.long
    if types.is_list(kind):
        return Array(_type(kind.value_type))
    return DataType.double if types.is_floating(kind) else AnyType()  # type: ignore[no-untyped-call]


def log_evaluation(tracker: Tracker, evaluated: EvaluationResult, tuned: FinetuningResult) -> None:
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

    tracker.send(log, _("log the evaluation"))


def _figures(evaluated: EvaluationResult, tuned: FinetuningResult) -> dict[str, float]:
    low, high = evaluated.interval
    bounds = {f"{evaluated.primary_metric}_low": low, f"{evaluated.primary_metric}_high": high}
    figures = {f"{TEST}{k}": v for k, v in (evaluated.metrics | bounds).items()}
    figures |= {f"baseline/{k}": v for k, v in evaluated.baseline.items()}
    figures["train/seconds"] = float(tuned.summary["seconds"])
    figures["train/peak_memory_bytes"] = float(tuned.summary["peak_memory"])
    if used := tuned.summary.get("energy"):
        figures["train/energy_wh"] = used["wh"]
    return figures


def _tags(evaluated: EvaluationResult, tuned: FinetuningResult) -> dict[str, str]:
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
            log_comparison_run(client, run_id, gate)

    tracker.send(log, _("log the comparison"))


def log_comparison_run(client: MlflowClient, parent: str, gate: Mapping[str, Any]) -> str:
    """Log the comparison of the gate, once per champion, and return the id of the nested run.

    Call it under a lock on the parent.
    """
    version = str(gate["reference"]).rpartition("/")[2]
    run_id = _child_run(client, parent, f"comparison with version {version}")
    tags = {"onestep.champion": gate["reference"], "onestep.verdict": gate["verdict"]}
    runs.log_tags(client, run_id, tags)
    runs.log_figures(client, run_id, dict(_comparison_figures(gate)), 0)
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _child_run(client: MlflowClient, parent: str, name: str) -> str:
    experiment = client.get_run(parent).info.experiment_id
    same = f"tags.`{PARENT}` = '{parent}' and tags.`mlflow.runName` = '{name}'"
    if found := client.search_runs([experiment], same, max_results=1):
        return str(found[0].info.run_id)
    tags = {PARENT: parent, "mlflow.runName": name}
    return str(client.create_run(experiment, tags=tags).info.run_id)


def _comparison_figures(gate: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every finite number by name."""
    named = {"mcnemar": gate.get("mcnemar"), "rows": gate.get("rows")}
    for row in gate.get("metrics") or ():
        metric = row["metric"]
        named |= {f"{side}/{metric}": row.get(side) for side in ("challenger", "champion", "gain")}
        named |= {f"gain_{end}/{metric}": row.get(end) for end in ("low", "high")}
    slices = gate.get("slices") or ()
    for name, part in zip(_metric_names([one["name"] for one in slices]), slices, strict=True):
        figures = ("challenger", "champion", "drop", "rows")
        named |= {f"slice/{name}/{figure}": part.get(figure) for figure in figures}
    for name, value in named.items():
        if isinstance(value, int | float) and isfinite(value):
            yield FORBIDDEN.sub("_", name), float(value)


def _metric_names(names: Sequence[str]) -> list[str]:
    """Names that MLflow allows in metrics; those that would be equal get a digest each."""
    # MLflow treats slashes as folders.
    allowed = [FORBIDDEN.sub("_", n.replace("/", "_"))[:LONGEST_NAME].strip() for n in names]
    twice = {name for name, count in Counter(allowed).items() if count > 1}
    pairs = zip(allowed, names, strict=True)
    return [f"{ours} {digest(name)[:DIGITS]}" if ours in twice else ours for ours, name in pairs]


def log_report(tracker: Tracker, html: str) -> None:
    """Log the report of the run, replacing an earlier one."""
    tracker.send(
        lambda client, run_id: client.log_text(run_id, html, runs.REPORT), _("log the report")
    )


def describe(
    tracker: Tracker,
    evaluated: EvaluationResult,
    registered: RegistrationResult,
    description: str,
    tags: Mapping[str, str],
) -> None:
    """Describe the run and its version; a version keeps the description that it has."""
    metrics = [f"{TEST}{name}" for name in evaluated.metrics if name != "rows"]

    def log(client: MlflowClient, run_id: str) -> None:
        runs.log_tags(client, run_id, {**tags, NOTE: description})
        runs.save_view(client, run_id, metrics)
        if registered.version is not None:
            version = registered.name, str(registered.version)
            if not client.get_model_version(*version).description:
                client.update_model_version(*version, description)

    tracker.send(log, _("describe the run"))
