"""Results of a run, a check and a preflight, shown as text and as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import Problem, UserError
from configs.language import _, translated
from onestep import display
from onestep.registry import NO_COLUMNS, Model, load

if TYPE_CHECKING:
    from flows.cli.progress import Display
    from flows.run.check import DataCheck
    from flows.run.run import Outcome
    from tasks.contract.report.record import Report


class RunResult(display.Shown):
    """The result of a run: a registered version and its metrics on the test split."""

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
    def version(self) -> int | None:
        """The number of the version; None if the run was a trial."""
        return self._outcome.registered.version

    @property
    def uri(self) -> str:
        """The version as MLflow writes it."""
        return self._outcome.registered.uri

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on the test split, by name."""
        return dict(self._outcome.evaluated.metrics)

    @property
    def interval(self) -> tuple[float, float]:
        """Confidence interval of the primary metric."""
        low, high = self._outcome.evaluated.interval
        return low, high

    @property
    def promoted(self) -> bool:
        """Whether the version is the champion."""
        return self._outcome.registered.promoted

    @property
    def verdict(self) -> str:
        """The decision of the gate, with its reason."""
        return self._outcome.registered.verdict

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self._outcome.report

    @cached_property
    def model(self) -> Model:
        """The version in memory, loaded on first use.

        Raises:
            UserError: the run was a trial, which registers nothing.
        """
        if self.version is None:
            advice = _("run it with register=True")
            raise UserError.at(self.name, _("a trial has no registered version"), advice)
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


class CheckResult(display.Shown):
    """The findings of the data contract."""

    def __init__(self, checked: DataCheck, home: Path) -> None:
        self._checked = checked
        self._home = home

    @property
    def valid(self) -> bool:
        """Whether the data may be trained on."""
        return self._checked.error is None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why not; empty for valid data."""
        return self._checked.error.problems if self._checked.error else ()

    @property
    def report(self) -> Report | None:
        """Every rule with its findings; None if the rows could not be read."""
        return self._checked.report

    def raise_for_problems(self) -> None:
        """Raise a DataError unless the data is valid."""
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
            parts.append(
                Text(_("valid: {note}", note=translated(self._checked.prepared.validated.note)))
            )
        return Group(*parts, *(Text(str(problem.translated())) for problem in self.problems))


class PreflightResult(display.Shown):
    """Measurements of one optimizer step, and the predicted cost of a run."""

    def __init__(self, report: dict[str, Any]) -> None:
        self._report = report

    @property
    def loss(self) -> float:
        """The loss of the first batch."""
        return float(self._report["loss"])

    @property
    def run_seconds(self) -> float:
        """Predicted time of a run."""
        return float(self._report["run_seconds"])

    @property
    def peak_memory(self) -> int:
        """Predicted peak memory of a run, in bytes."""
        return int(self._report["forecast"]["peak_memory"])

    def record(self) -> dict[str, Any]:
        """As JSON values, like ``onestep preflight --json``."""
        return dict(self._report)

    def _drawn(self) -> display.Drawing:
        from flows.cli import reports

        return reports.preflight(self._report)
