"""What the functions return: records with a text and an HTML form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import Problem
from onestep import display
from onestep.registry import NO_COLUMNS, Model, load

if TYPE_CHECKING:
    from flows.cli.progress import Display
    from flows.run.check import DataCheck, PreparedData
    from flows.run.run import Outcome
    from tasks.contract.report.record import Report


class RunResult:
    """What a run made: a registered version and its figures on the test split.

    Args:
        outcome: of the pipeline.
        home: where it ran.
        shown: the stages and what they took.
        seconds: of the whole run.
    """

    def __init__(self, outcome: Outcome, home: Path, shown: Display, seconds: float) -> None:
        self._outcome = outcome
        self._home = home
        self._shown = shown
        self.seconds = seconds

    @property
    def name(self) -> str:
        """The registered model."""
        return self._outcome.registered.name

    @property
    def version(self) -> int:
        """The number of the version."""
        return self._outcome.registered.version

    @property
    def uri(self) -> str:
        """What MLflow calls the version."""
        return self._outcome.registered.uri

    @property
    def metrics(self) -> dict[str, float]:
        """Figures on the test split, by name."""
        return dict(self._outcome.evaluated.metrics)

    @property
    def interval(self) -> tuple[float, float]:
        """Confidence interval of the metric that decides about promotion."""
        low, high = self._outcome.evaluated.interval
        return low, high

    @property
    def promoted(self) -> bool:
        """Whether the version is the champion."""
        return self._outcome.registered.promoted

    @property
    def verdict(self) -> str:
        """What the gate decided, and why."""
        return self._outcome.registered.verdict

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self._outcome.report

    @cached_property
    def model(self) -> Model:
        """The version in memory, loaded on first use."""
        return load(f"{self.name}/{self.version}", home=self._home)

    def predict(
        self, rows: Any, *, columns: Mapping[str, str] = NO_COLUMNS, probabilities: bool = False
    ) -> Any:
        """Predict rows with the version; see :meth:`onestep.Model.predict`."""
        return self.model.predict(rows, columns=columns, probabilities=probabilities)

    def record(self) -> dict[str, Any]:
        """As JSON values, like ``onestep run --json``."""
        return self._outcome.record() | {"seconds": self.seconds}

    def _drawn(self) -> display.Drawing:
        from flows.cli import reports

        return reports.report(self._outcome, self._shown, self.seconds)

    def __repr__(self) -> str:
        """The report at the end of a run, as text."""
        return display.text(self._drawn())

    def _repr_html_(self) -> str:
        return display.html(self._drawn())


class CheckResult:
    """What the contract found in the data.

    Args:
        checked: by the command's own check.
        home: where the report is.
    """

    def __init__(self, checked: DataCheck, home: Path) -> None:
        self._checked = checked
        self._home = home

    @property
    def valid(self) -> bool:
        """Whether the data may be trained on."""
        return self._checked.error is None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why it may not; empty if it may."""
        return self._checked.error.problems if self._checked.error else ()

    @property
    def report(self) -> Report | None:
        """Every rule and what it found; None if the rows could not be read."""
        return self._checked.report

    def raise_for_problems(self) -> None:
        """Do nothing for valid data.

        Raises:
            DataError: the data may not be trained on.
        """
        if self._checked.error:
            raise self._checked.error

    def record(self) -> dict[str, Any]:
        """As JSON values, like ``onestep check --json``."""
        return self._checked.record()

    def _drawn(self) -> display.Drawing:
        from rich.console import Group
        from rich.text import Text

        from flows.cli import reports

        parts: list[display.Drawing] = []
        if self.report:
            parts.append(reports.contract(self.report, self._home))
        if self._checked.prepared:
            parts.append(Text(f"valid: {self._checked.prepared.validated.note}"))
        return Group(*parts, *(Text(str(problem)) for problem in self.problems))

    def __repr__(self) -> str:
        """The report as text."""
        return display.text(self._drawn())

    def _repr_html_(self) -> str:
        return display.html(self._drawn())


class PreflightResult:
    """What one optimizer step showed, and what a run will take.

    Args:
        prepared: the stages before training.
        report: of the step.
    """

    def __init__(self, prepared: PreparedData, report: dict[str, Any]) -> None:
        self._prepared = prepared
        self._report = report

    @property
    def loss(self) -> float:
        """Of the first batch."""
        return float(self._report["loss"])

    @property
    def run_seconds(self) -> float:
        """How long a run will take, about."""
        return float(self._report["run_seconds"])

    @property
    def peak_memory(self) -> int:
        """Bytes that a run will need at its peak, about."""
        return int(self._report["forecast"]["peak_memory"])

    def record(self) -> dict[str, Any]:
        """As JSON values, like ``onestep preflight --json``."""
        return dict(self._report)

    def _drawn(self) -> display.Drawing:
        from flows.cli import reports

        return reports.preflight(self._report)

    def __repr__(self) -> str:
        """The report as text."""
        return display.text(self._drawn())

    def _repr_html_(self) -> str:
        return display.html(self._drawn())
