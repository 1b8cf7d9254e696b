"""The exceptions of onestep, and the exit code of each.

::

    OneStepError
    ├── UserError              exit 2: the input is wrong; a message, never a stack trace
    │   ├── ConfigError        the YAML file or a --set override
    │   ├── DataError          the labelled files
    │   └── ModelError         the base model, or a registry name
    └── Failure                exit 1: the input is fine, the run is not
        ├── StorageFailure     disk full, read-only, or a damaged output
        ├── WorkerFailure      the training process died, hung or raised
        └── TrackingFailure    the MLflow server stayed out of reach
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from configs.language import translated


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the input.

    Attributes:
        where: file and line, file and row, column, or setting.
        what: what was expected and what was found.
        advice: what to do about it; empty if it is obvious.
    """

    where: str
    what: str
    advice: str = ""

    def translated(self) -> Problem:
        """A problem that is stored in English, in the reader's language."""
        # Several words are a sentence; one is a key or a path, such as `data`.
        where = translated(self.where) if " " in self.where else self.where
        return Problem(where, translated(self.what), translated(self.advice))

    def __str__(self) -> str:
        """Render as ``where: what (advice)``."""
        return f"{self.where}: {self.what}" + (f" ({self.advice})" if self.advice else "")


class OneStepError(Exception):
    """Base of every deliberate error.

    Attributes:
        problems: what is wrong with the input; empty for a failure.
    """

    exit_code = 1
    problems: tuple[Problem, ...] = ()

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows instead of a stack trace."""
        return [f"{type(self).__name__}: {line}" for line in str(self).splitlines()]


class UserError(OneStepError):
    """A mistake in the input, with the list of all problems."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem.translated()) for problem in self.problems))

    @classmethod
    def at(cls, where: str | Path, what: str, advice: str = "") -> Self:
        """The error of one problem."""
        return cls(Problem(str(where), what, advice))

    def __reduce__(self) -> tuple[type[UserError], tuple[Any, ...]]:
        """Pickle the problems, from which the message is made."""
        return type(self), (self.problems,)


class ConfigError(UserError):
    """The pipeline file, or an override of it, is not valid."""


class DataError(UserError):
    """The labelled files cannot be read or break the data contract.

    Attributes:
        report: of the contract; empty unless it refuses rows that were read.
    """

    def __init__(
        self, problems: Iterable[Problem] | Problem, report: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(problems)
        self.report = dict(report or {})

    def __reduce__(self) -> tuple[type[UserError], tuple[Any, ...]]:
        return type(self), (self.problems, self.report)


class ModelError(UserError):
    """The base model cannot be used, or a registered model does not exist."""


class Failure(OneStepError):
    """A failure that the input did not cause."""


class StorageFailure(Failure):
    """Writing or verifying an output failed."""


class WorkerFailure(Failure):
    """The training process ended before it finished."""


class TrackingFailure(Failure):
    """The tracking server could not be reached in time."""
