"""Failures as Prefect shows them: a state with the reason in one sentence, and an artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import get_run_logger
from prefect.states import Failed

from configs.errors import OneStepError, UserError
from flows.prefect_run import artifacts, events

if TYPE_CHECKING:
    from flows.run.run import Run

P = ParamSpec("P")
R = TypeVar("R")


def sentence(error: Exception) -> str:
    """The reason in one line; of an unexpected error only its type: the message may quote a row."""
    if not isinstance(error, OneStepError):
        return f"unexpected {type(error).__name__}; its trace is in the log of this run"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    others = len(error.problems) - 1 if isinstance(error, UserError) else 0
    return f"{first}; and {others} more" if others > 0 else first


def state(error: Exception) -> Any:
    """A failed state with the reason; Prefect raises the error when the result is read."""
    return Failed(message=sentence(error), data=error)


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the function of a flow: an error becomes a failed state with its reason.

    Prefect takes the state for that of the flow, and raises the error in the caller.
    """

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            ended: R = state(error)
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
