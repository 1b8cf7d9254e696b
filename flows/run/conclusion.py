"""Final steps of a run: notify, report, link."""

from __future__ import annotations

from flows.prefect_run import artifacts
from flows.run import report
from flows.run.outcome import Outcome
from flows.run.run import Run
from flows.servers import outbox
from flows.tracking import records
from tasks.progress import Notice, announce


def conclude(run: Run) -> Outcome:
    """Send the gate's decision to Prefect, and show the run in MLflow, in Prefect and on a page."""
    outcome = run.outcome
    if late := outbox.deliver(run.workspace):
        announce(Notice(late))
    tags = artifacts.run_tags()
    run.tracker.tag(tags)
    records.log_comparison(run.tracker, outcome.registered.gate)
    links = {"MLflow run": outcome.run_url, "Prefect run": tags["prefect.flow_run_url"]}
    report.publish(run, outcome, links)
    artifacts.results(outcome)
    return outcome
