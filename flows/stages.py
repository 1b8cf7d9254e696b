"""The five stages as Prefect tasks: each runs a plain function and shows what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.run import artifacts, events, states
from flows.run.run import Run
from tasks.errors import OneStepError
from tasks.evaluation import Evaluated, evaluate
from tasks.finetuning import Tuned, finetune
from tasks.progress import StageFinished, StageStarted, announce
from tasks.registration import Registered, register
from tasks.tokenization import Tokenized, tokenize_rows
from tasks.validation import Validated, validate

REUSED = "Reused"


def shown(run: Run, stage: str, work: Callable[[], Any]) -> State[Any]:
    """Run a stage and announce it; its state says what came of it, a reuse or a failure too."""
    announce(StageStarted(stage))
    started = time.perf_counter()
    try:
        result = work()
    except OneStepError as error:
        return states.state(error)
    seconds = time.perf_counter() - started
    reused = bool(getattr(result, "stored", result).reused)
    run.stages.append(finished := StageFinished(stage, reused, seconds, result.note))
    announce(finished)
    get_run_logger().info("%s: %s", REUSED if reused else "Computed", result.note)
    artifacts.stage(stage, reused, seconds, result.note)
    return Completed(name=REUSED if reused else "Completed", message=result.note, data=result)


@task(name="validation", cache_policy=NO_CACHE, persist_result=False)
def validation(run: Run) -> State[Validated]:
    """Hold the labelled rows against the contract, and against those of the champion."""

    def work() -> Validated:
        validated = validate(run.config, run.workspace, run.sources)
        artifacts.contract(run.config.name, run.hold_against_champion(validated))
        return validated

    return shown(run, "validation", work)


@task(name="tokenization", cache_policy=NO_CACHE, persist_result=False)
def tokenization(run: Run, validated: Validated) -> State[Tokenized]:
    """Turn rows into token ids."""
    return shown(
        run, "tokenization", lambda: tokenize_rows(run.config, run.workspace, validated, run.base)
    )


@task(name="fine-tuning", cache_policy=NO_CACHE, persist_result=False)
def finetuning(run: Run, validated: Validated, tokenized: Tokenized) -> State[Tuned]:
    """Train, with live progress, and send every step to MLflow."""

    def watch(folder: Path) -> None:
        _load_ahead()
        run.tracker.watch(folder)

    def work() -> Tuned:
        with artifacts.progress():
            tuned = finetune(run.config, run.workspace, validated, tokenized, run.base, watch)
        run.tracker.settle(tuned)
        return tuned

    return shown(run, "fine-tuning", work)


def _load_ahead() -> None:
    """Import what evaluation needs while the worker is starting, when a core is idle."""

    def load() -> None:
        import_module("matplotlib.figure")
        import_module("tasks.predictor")
        import_module("transformers.modeling_utils")

    Thread(target=load, daemon=True).start()


@task(name="evaluation", cache_policy=NO_CACHE, persist_result=False)
def evaluation(
    run: Run, validated: Validated, tokenized: Tokenized, tuned: Tuned
) -> State[Evaluated]:
    """Measure the model that will be served."""

    def work() -> Evaluated:
        evaluated = evaluate(run.config, run.workspace, validated, tokenized, tuned)
        run.tracker.log_evaluation(evaluated, tuned)
        return evaluated

    return shown(run, "evaluation", work)


@task(name="registration", cache_policy=NO_CACHE, persist_result=False)
def registration(run: Run, validated: Validated, evaluated: Evaluated) -> State[Registered]:
    """Register the model and let the gate decide about its alias."""

    def decided(registered: Registered) -> None:
        events.decided(run.workspace, run.config.name, registered, run.tracker.url())

    def work() -> Registered:
        client = run.tracker.client
        inputs = run.config, run.workspace, client, evaluated, validated, run.origin
        return register(*inputs, decided=decided)

    return shown(run, "registration", work)
