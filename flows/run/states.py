"""How a failure is told in the Prefect UI: in one sentence, without a stack trace."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.run import artifacts, events
from tasks.errors import OneStepError, UserError

if TYPE_CHECKING:
    from flows.run.run import Outcome, Run


def sentence(error: Exception) -> str:
    """The reason in one line; of an error that nobody foresaw only its kind.

    The message of such an error could quote a row.
    """
    if not isinstance(error, OneStepError):
        return f"unexpected {type(error).__name__}; its trace is in the log of this run"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    others = len(error.problems) - 1 if isinstance(error, UserError) else 0
    return f"{first}; and {others} more" if others > 0 else first


def state(error: Exception) -> State[Any]:
    """A failed state that says why, and raises the error to whoever asks for its result."""
    return Failed(message=sentence(error), data=error)


class Explained:
    """Ends a flow with a failed state in words, an artifact and an event.

    Args:
        file: the pipeline's YAML file, which names the run until it has been read.
    """

    def __init__(self, file: str) -> None:
        self.name = Path(file).stem
        self.run: Run | None = None
        self._state: State[Any] | None = None

    def __enter__(self) -> Self:
        """Begin the block whose failures are told."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Tell a failure; an interrupt is none."""
        if not isinstance(error, Exception):
            return False
        if not isinstance(error, OneStepError):
            get_run_logger().error("the run failed", exc_info=error)
        name = self.run.config.name if self.run else self.name
        artifacts.failure(name, str(error) if isinstance(error, OneStepError) else sentence(error))
        events.failed(name, sentence(error), self.run.tracker.known_url if self.run else "")
        self._state = state(error)
        return True

    @property
    def outcome(self) -> Outcome:
        """The failed state: Prefect takes it for the end of the flow and raises its error."""
        return cast("Outcome", self._state)
