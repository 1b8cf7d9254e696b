"""A run of a pipeline as a Prefect flow: its name, its stages as tasks, its end or failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed

from configs.errors import Failure, OneStepError, UserError
from flows.prefect_run import artifacts, events
from flows.run import changes, report
from flows.run.inputs import quiet
from flows.run.reading import read
from flows.run.run import Outcome, Run, Stage, StageRun
from flows.servers import outbox
from flows.servers.leases import shared
from flows.tracking import records
from tasks.claims import Claim, claimed
from tasks.progress import Notice, StageFinished, StageStarted, announce
from tasks.trace import span
from tasks.workspace import Workspace

Trigger = Literal["manual", "scheduled"]
P = ParamSpec("P")
R = TypeVar("R")


def first_name() -> str:
    """Name a Prefect run after its file, until its data is known."""
    return Path(flow_run.get_parameters()["file"]).stem


def rename(run: Run, trigger: Trigger | None = None) -> None:
    """Name the current flow run after pipeline, data and trigger: ``reviews-1a2b3c4d-manual``.

    By default a deployment or a flow around this one counts as ``scheduled``.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    scheduled = deployment.id or flow_run.parent_flow_run_id
    started_by = trigger or ("scheduled" if scheduled else "manual")
    name = f"{run.config.name}-{run.inputs.sources.digest[:8]}-{started_by}"
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(context.flow_run.id, name)
    context.flow_run.name = name


@contextmanager
def claimed_flow(workspace: Workspace) -> Iterator[Claim]:
    """Hold a claim that names the current flow run."""
    with claimed(workspace.locks) as claim:
        if flow_run.id is not None:
            claim.note("flow_run", id=str(flow_run.id))
        yield claim


def sentence(error: Exception) -> str:
    """The reason in one line; of an unexpected error only its type: the message may quote a row."""
    if not isinstance(error, OneStepError):
        return f"unexpected {type(error).__name__}; its trace is in the log of this run"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    others = len(error.problems) - 1 if isinstance(error, UserError) else 0
    return f"{first}; and {others} more" if others > 0 else first


def failed_state(error: Exception) -> Any:
    """A failed state with the reason; Prefect raises the error when the result is read."""
    return Failed(message=sentence(error), data=error)


def decided_state(outcome: Outcome, result: R) -> State[R]:
    """A completed state that is named after the decision of the gate, with its verdict."""
    registered = outcome.registered
    return Completed(name=registered.decision, message=registered.note, data=result)


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the function of a flow: an error becomes a failed state with its reason.

    Prefect takes the state for that of the flow, and raises the error in the caller.
    """

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            ended: R = failed_state(error)
            return ended

    # Prefect would look names of annotations up in this module, not in that of the function.
    guarded.__signature__ = signature(function, eval_str=True)  # type: ignore[attr-defined]
    return guarded


@dataclass(slots=True)
class Subject:
    """The pipeline that a failure is about: its run, or before that the name of its file."""

    name: str
    run: Run | None = None


@contextmanager
def reported(name: str) -> Iterator[Subject]:
    """Log a failure of the block, and publish an artifact and an event about it."""
    subject = Subject(name)
    try:
        yield subject
    except Exception as error:
        _report(subject, error)
        raise


def _report(subject: Subject, error: Exception) -> None:
    known = isinstance(error, OneStepError)
    if not known:
        get_run_logger().error("the run failed", exc_info=error)
    name, url = subject.name, ""
    if subject.run is not None:
        name, url = subject.run.config.name, subject.run.tracker.known_url
    artifacts.failure(name, str(error) if known else sentence(error))
    events.emit_failure(name, sentence(error), url)
    if subject.run is not None:
        # The failure may be a full disk, and it is what the command reports.
        with suppress(Failure, OSError, ValueError):
            report.publish_failure(subject.run, error, sentence(error))


@contextmanager
def opened(
    file: str,
    overrides: Sequence[str],
    fresh: bool,
    stages: Sequence[Stage],
    settings: Mapping[str, Any] | None = None,
    home: str | None = None,
    *,
    trial: bool = False,
) -> Iterator[Run]:
    """Prepare a run; set its final status in MLflow, and report a failure to Prefect.

    For the parameters see :func:`flows.pipeline.pipeline`.
    """
    with reported(Path(file).stem) as subject:
        quiet()
        workspace = shared(Workspace.open(Path(home) if home else None, fresh=fresh))
        with claimed_flow(workspace) as claim:
            config = read(Path(file), overrides, settings)
            with span("prepare"):
                run = Run(config, workspace, claim, stages, trial=trial)
            subject.run = run
            workspace.store.sweep()
            outbox.deliver(workspace)
            with _status_in_mlflow(run):
                yield run


@contextmanager
def _status_in_mlflow(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        run.tracker.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    run.tracker.end("FINISHED")


def execute(stage: Stage, run: Run) -> None:
    """Run a stage as a task, and add its result to the run.

    The state of the task is reused, completed, or failed with the reason.
    """

    @task(name=stage.name, cache_policy=NO_CACHE, persist_result=False)
    def compute() -> State[StageRun]:
        announce(StageStarted(stage.name))
        started = time.perf_counter()
        try:
            with span(stage.name):
                result = stage.compute(run)
        except OneStepError as error:
            failed: State[StageRun] = failed_state(error)
            return failed
        return _completed(StageRun(stage, result, time.perf_counter() - started))

    run.results.add(compute().result())


def _completed(run: StageRun) -> State[StageRun]:
    """Show the result in the terminal, in the log and in Prefect."""
    result = run.result
    announce(StageFinished(run.stage.name, result.reused, run.seconds, result.note))
    get_run_logger().info("%s: %s", "Reused" if result.reused else "Computed", result.note)
    artifacts.stage(run)
    name = "Reused" if result.reused else "Completed"
    return Completed(name=name, message=result.note, data=run)


@span("report")
def report_outcome(run: Run) -> Outcome:
    """Send the gate's decision to Prefect; show the run in MLflow, in Prefect and on a page."""
    outcome = replace(run.outcome, changes=changes.of(run))
    if late := outbox.deliver(run.workspace):
        announce(Notice(late))
    flow_run_url = artifacts.flow_run_url()
    records.log_comparison(run.tracker, outcome.registered.gate)
    links = {"MLflow run": outcome.run_url, "Prefect run": flow_run_url}
    outcome = replace(outcome, report=report.publish(run, outcome, links))
    described = outcome.evaluated, outcome.registered, artifacts.description(outcome, flow_run_url)
    records.describe(run.tracker, *described, {"prefect.flow_run_url": flow_run_url})
    artifacts.results(outcome)
    return outcome
