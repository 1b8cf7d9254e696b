"""What follows the last stage: the word to whoever waits for it, the page, and the links."""

from __future__ import annotations

from flows import artifacts, outbox, reports
from flows.run import Outcome, Run
from tasks.reporting import Notice, announce


def conclude(run: Run, outcome: Outcome) -> Outcome:
    """Tell what the gate decided, and show the run in MLflow, in Prefect and on a page."""
    if late := outbox.deliver(run.workspace):
        announce(Notice(late))
    tags = artifacts.run_tags()
    run.tracker.link(tags)
    run.tracker.log_comparison(outcome.registered.gate)
    links = {"MLflow run": outcome.run_url, "Prefect run": tags["prefect.flow_run_url"]}
    reports.publish(run, outcome, links)
    artifacts.results(outcome)
    return outcome
