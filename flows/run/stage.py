"""A stage of the pipeline, and the results of the stages that have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tasks.store import Result

if TYPE_CHECKING:
    from flows.run.run import Run

R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the pipeline.

    Attributes:
        name: as the terminal, Prefect and the report show it.
        compute: returns the result of the stage; takes earlier results from the run.
        version: part of the fingerprint of a run: raise it when a change makes outputs wrong.
            None if the stage does not decide what the model is like.
    """

    name: str
    compute: Callable[[Run], Result]
    version: int | None = None

    @property
    def key(self) -> str:
        """The name as a key of JSON."""
        return self.name.replace("-", "")


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage that has ended well.

    Attributes:
        stage: which.
        result: what it returned.
        seconds: wall time in this run.
    """

    stage: Stage
    result: Result
    seconds: float

    @property
    def computed_in(self) -> float:
        """Seconds that computing the result took, in this run or an earlier one."""
        stored = self.result.stored
        return self.seconds if stored is None else stored.seconds


class Results:
    """The results of the stages that have ended, in the order of the pipeline."""

    def __init__(self) -> None:
        self._finished: list[Finished] = []

    def add(self, finished: Finished) -> None:
        """Add the result of the stage that has ended."""
        self._finished.append(finished)

    def __iter__(self) -> Iterator[Finished]:
        """The stages in order."""
        return iter(self._finished)

    def __getitem__(self, kind: type[R]) -> R:
        """The result of a type.

        Raises:
            KeyError: no stage before has returned one.
        """
        for finished in self._finished:
            if isinstance(finished.result, kind):
                return finished.result
        raise KeyError(f"no stage so far has returned a {kind.__name__}")
