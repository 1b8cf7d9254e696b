"""A stage as a Prefect task."""

from __future__ import annotations

import time

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.errors import OneStepError
from flows.prefect_run import artifacts, failures
from flows.run.run import Run
from flows.run.stage import Finished, Stage
from tasks.progress import StageFinished, StageStarted, announce


def execute(stage: Stage, run: Run) -> None:
    """Run a stage as a task, and add its result to the run.

    The state of the task says whether the result was reused, or why the stage failed.
    """

    @task(name=stage.name, cache_policy=NO_CACHE, persist_result=False)
    def compute() -> State[Finished]:
        announce(StageStarted(stage.name))
        started = time.perf_counter()
        try:
            result = stage.compute(run)
        except OneStepError as error:
            failed: State[Finished] = failures.state(error)
            return failed
        return _completed(Finished(stage, result, time.perf_counter() - started))

    run.results.add(compute().result())


def _completed(finished: Finished) -> State[Finished]:
    """Show the result in the terminal, in the log and in Prefect."""
    result, name = finished.result, finished.stage.name
    announce(StageFinished(name, result.reused, finished.seconds, result.note))
    how = "Reused" if result.reused else "Computed"
    get_run_logger().info("%s: %s", how, result.note)
    artifacts.stage(finished)
    ended = "Reused" if result.reused else "Completed"
    return Completed(name=ended, message=result.note, data=finished)
