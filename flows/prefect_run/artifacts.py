"""Artifacts of a run in the Prefect UI."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.runtime import flow_run

from flows.run.run import Outcome, StageRun
from tasks.contract.report.record import Report
from tasks.progress import Progress, Update, announce, listening
from tasks.report.page import visible
from tasks.tracking.runs import REPORT, artifact_url, view_url

SECONDS_BETWEEN_UPDATES = 2.0
FAILED, FELL = "**failed**", "**fell too far**"
SYNTAX = re.compile(
    r"[!#$&*<>\[\\\]^_`{|}~]|:(?=//)|(?<=:)/(?=/)|(?<=\S)@(?=\S)|(?<=www)\.|^[-+=]+|^[0-9]+[.)](?=\s|$)",
    re.I,
)
"""What Markdown reads as more than text: marks, links, and the begin of a list."""


def stage(run: StageRun) -> None:
    """One stage: reused or computed, the time that it took, and its result in a line."""
    how = "reused" if run.result.reused else "computed"
    text = f"**{how}** in {run.seconds:.1f} s: {plain(run.result.note)}"
    create_markdown_artifact(text, description=run.stage.name)


def contract(name: str, report: Report) -> None:
    """The findings of the data contract, and the drift from the champion's data."""
    rules = [rule for rule in report["rules"] if rule["found"]]
    create_table_artifact(
        [{key: rule[key] for key in ("name", "severity", "found", "looked_at")} for rule in rules],
        key=_key(name, "data-contract"),
        description=f"Data contract: {report['verdict']}, {len(report['rules'])} rules ran",
    )
    if report.get("drift"):
        create_table_artifact(
            [
                {key: measure[key] for key in ("name", "value", "low", "threshold", "drifted")}
                for measure in report["drift"]
            ],
            key=_key(name, "drift"),
            description=f"Effect sizes against {report['drift_reference']}",
        )


@contextmanager
def progress() -> Iterator[None]:
    """Show the training's progress while the block runs, and forward every event."""
    artifact = create_progress_artifact(0.0, description="fine-tuning")
    assert isinstance(artifact, UUID)
    updater = _Updater(artifact)

    outer = copy_context()

    def listener(event: Update) -> None:
        updater.take(event)
        outer.run(announce, event)

    with listening(listener):
        yield
    update_progress_artifact(artifact, 100.0, "fine-tuning, all steps done")


class _Updater:
    """Updates the artifact every few seconds, with loss and time left."""

    def __init__(self, artifact: UUID) -> None:
        self.artifact = artifact
        self.total = 0
        self.began = time.monotonic()
        self.first: int | None = None
        self.last = 0.0

    def take(self, event: Update) -> None:
        if not isinstance(event, Progress):
            return
        if event.kind == "started":
            self.total, self.began = int(event.values["total_steps"]), time.monotonic()
        if event.kind != "step" or time.monotonic() - self.last < SECONDS_BETWEEN_UPDATES:
            return
        self.last = time.monotonic()
        step = int(event.values["step"])
        self.first = step - 1 if self.first is None else self.first
        left = (self.last - self.began) / max(step - self.first, 1) * (self.total - step)
        text = f"step {step} of {self.total}, loss {event.values['loss']:.4f}, {left:.0f} s left"
        update_progress_artifact(self.artifact, 100 * step / max(self.total, 1), text)


def results(outcome: Outcome) -> None:
    """The verdict, the results table, and links to the MLflow run and the report."""
    registered = outcome.registered
    create_markdown_artifact(
        "\n\n".join(_summary(outcome)),
        key=_key(registered.name, "summary"),
        description=plain(registered.verdict),
    )
    create_table_artifact(
        list(_metrics(outcome)),
        key=_key(registered.name, "results"),
        description=f"Test metrics of {registered.uri or 'a trial'}",
    )
    create_link_artifact(
        outcome.run_url,
        link_text="MLflow run",
        key=_key(registered.name, "mlflow-run"),
        description="MLflow run",
    )


def _metrics(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """A row per metric: the new version, the champion if they were compared, the baseline."""
    evaluated, gate = outcome.evaluated, outcome.registered.gate
    champion = {row["metric"]: row["champion"] for row in gate.get("metrics") or ()}
    for name, value in evaluated.metrics.items():
        compared = {"champion": champion.get(name)} if champion else {}
        yield {"metric": name, "value": value, **compared} | {
            evaluated.baseline_name: evaluated.baseline.get(name)
        }


def _summary(outcome: Outcome) -> Iterator[str]:
    """The parts of the summary, in Markdown."""
    registered = outcome.registered
    yield f"# {registered.decision}: {registered.uri or registered.name}"
    yield plain(registered.verdict)
    yield _headline(outcome, plain)
    yield from map(plain, outcome.hints)
    yield from gate_tables(registered.gate)
    yield f"{_links(outcome)} · page: {plain(str(outcome.report))}"


def _headline(outcome: Outcome, shown: Callable[[str], str]) -> str:
    """The primary metric with its interval, and that of the baseline."""
    evaluated = outcome.evaluated
    metric, (low, high) = evaluated.primary_metric, evaluated.interval
    return (
        f"{shown(metric)} **{evaluated.metrics[metric]:.4f}** [{low:.4f}, {high:.4f}]; "
        f"{shown(evaluated.baseline_name)} {evaluated.baseline[metric]:.4f}"
    )


def _links(outcome: Outcome) -> str:
    report = artifact_url(outcome.run_url, REPORT)
    return f"[MLflow run]({outcome.run_url}) · [report]({report})"


def description(outcome: Outcome, flow_run_url: str) -> str:
    """The verdict, the primary metric and links, for MLflow, in Markdown."""
    links = f"{_links(outcome)} · [all runs]({view_url(outcome.run_url)})"
    parts = [_entities(outcome.registered.verdict), _headline(outcome, _entities)]
    parts.append(f"{links} · Prefect run [{_entities(flow_run.get_name() or '')}]({flow_run_url})")
    return "\n\n".join([*parts, f"page: {_entities(str(outcome.report))}"])


def gate_tables(record: Mapping[str, Any]) -> Iterator[str]:
    """Tables of what the gate checked, and of the slices that it compared."""
    if checks := record.get("checks"):
        rows = [[c["name"], "passed" if c["passed"] else FAILED, c["note"]] for c in checks]
        yield markdown_table(["check", "result", "found"], rows)
    if slices := record.get("slices"):
        yield markdown_table(
            ["slice", "rows", "new", "champion", "drop", "result"], map(_slice, slices)
        )


def _slice(part: Mapping[str, Any]) -> list[str]:
    figures = [f"{part[key]:.4f}" for key in ("challenger", "champion", "drop")]
    result = FELL if part["failed"] else "passed" if part["judged"] else "too small"
    return [part["name"], f"{part['rows']:,}", *figures, result]


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what is in a cell cannot end it."""
    first, *others = (f"| {' | '.join(map(_cell, line))} |" for line in (heads, *rows))
    return "\n".join((first, "| --- " * len(heads) + "|", *others))


def _cell(text: str) -> str:
    return text if text in (FAILED, FELL) else plain(text)


def plain(text: str) -> str:
    """Text as Markdown that shows it as it is, in one line.

    Backslashes, because Prefect shows numeric entities literally.
    """
    return _escaped(text, lambda mark: f"\\{mark}")


def _entities(text: str) -> str:
    """As :func:`plain`, for MLflow, which shows a backslash before some marks."""
    return _escaped(text, lambda mark: f"&#{ord(mark)};")


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    line = " ".join(visible(text).split())

    def replaced(found: re.Match[str]) -> str:
        return "".join(mark if mark.isalnum() else escape(mark) for mark in found[0])

    return SYNTAX.sub(replaced, line)


def failure(name: str, reason: str) -> None:
    """The reason why a run failed: every problem on a line of its own."""
    lines = "\n".join(f"- {plain(line)}" for line in reason.splitlines())
    text = f"# {name} failed\n\n{lines}"
    create_markdown_artifact(text, key=_key(name, "failure"), description="Failure")


def _key(model: str, kind: str) -> str:
    """An artifact key, for which Prefect allows lower case, digits and dashes."""
    return f"{re.sub('[^a-z0-9]+', '-', model.lower()).strip('-')}-{kind}"


def flow_run_url() -> str:
    """The address of this Prefect run."""
    api = os.environ.get("PREFECT_UI_URL") or os.environ.get("PREFECT_API_URL", "")
    base = api.removesuffix("/api").rstrip("/")
    return f"{base}/runs/flow-run/{flow_run.get_id()}"
