"""What follows the last stage: the word to whoever waits for it, the page, and the links."""

from __future__ import annotations

from flows.run import artifacts, report
from flows.run.run import Outcome, Run
from flows.servers import outbox
from tasks.progress import Notice, announce


def conclude(run: Run, outcome: Outcome) -> Outcome:
    """Tell what the gate decided, and show the run in MLflow, in Prefect and on a page."""
    if late := outbox.deliver(run.workspace):
        announce(Notice(late))
    tags = artifacts.run_tags()
    run.tracker.link(tags)
    run.tracker.log_comparison(outcome.registered.gate)
    links = {"MLflow run": outcome.run_url, "Prefect run": tags["prefect.flow_run_url"]}
    report.publish(run, outcome, links)
    artifacts.results(outcome)
    return outcome
