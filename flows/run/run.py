"""One run of a pipeline: what its stages share, their results, and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from configs.language import english
from configs.schema import Pipeline
from flows.run import hints, inputs
from flows.run.fingerprint import descriptive_tags, fingerprint
from flows.tracking.tracker import Tracker
from tasks.claims import Claim
from tasks.contract.report.record import Report
from tasks.evaluation import EvaluationResult
from tasks.finetuning import FinetuningResult
from tasks.registration import Origin, RegistrationResult
from tasks.store import StoredOutput
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from flows.run.changes import Changes


class Result(Protocol):
    """What every stage returns."""

    @property
    def stored(self) -> StoredOutput | None:
        """The output folder, if the stage has one."""

    @property
    def reused(self) -> bool:
        """Whether an earlier run had computed it."""

    @property
    def note(self) -> str:
        """One line for people."""


R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the pipeline.

    Attributes:
        name: as the terminal, Prefect and the report show it.
        compute: returns the result of the stage; takes earlier results from the run.
        version: part of the fingerprint of a run: raise it when a change makes outputs wrong.
            None if the stage does not affect the model.
    """

    name: str
    compute: Callable[[Run], Result]
    version: int | None = None

    @property
    def key(self) -> str:
        """The name as a key of JSON."""
        return self.name.replace("-", "")


@dataclass(frozen=True, slots=True)
class StageRun:
    """A completed stage: its result, and its wall time in this run."""

    stage: Stage
    result: Result
    seconds: float

    @property
    def computed_in(self) -> float:
        """Seconds that computing the result took, in this run or an earlier one."""
        stored = self.result.stored
        return self.seconds if stored is None else stored.seconds


class Results:
    """The results of the completed stages, in the order of the pipeline."""

    def __init__(self) -> None:
        self._runs: list[StageRun] = []

    def add(self, run: StageRun) -> None:
        """Add the result of a stage."""
        self._runs.append(run)

    def __iter__(self) -> Iterator[StageRun]:
        return iter(self._runs)

    def __getitem__(self, kind: type[R]) -> R:
        """The result of a type.

        Raises:
            KeyError: no stage so far has returned one.
        """
        for run in self._runs:
            if isinstance(run.result, kind):
                return run.result
        raise KeyError(f"no stage so far has returned a {kind.__name__}")


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of a run in ``seconds`` or ``bytes``; without a forecast that is None."""

    name: str
    unit: str
    forecast: float | None
    measured: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run, from which all reports are made.

    Attributes:
        run_url: of the MLflow run.
        report: the HTML page about the run.
        changes: since the previous run, if there was one.
        hints: what suggests that the model was trained too little, or cannot be reproduced.
    """

    results: Results
    run_url: str
    report: Path
    changes: Changes | None = None
    hints: Sequence[str] = ()

    @property
    def evaluated(self) -> EvaluationResult:
        """The test metrics, and the folder with the model."""
        return self.results[EvaluationResult]

    @property
    def registered(self) -> RegistrationResult:
        """The version, and the decision of the gate."""
        return self.results[RegistrationResult]

    @property
    def costs(self) -> list[Cost]:
        """Time and memory, as preflight forecast them and as measured."""
        summary, test = self.results[FinetuningResult].summary, self.evaluated.stored.seconds
        forecast = summary.get("forecast") or {}
        return [
            Cost(
                english("Training"), "seconds", forecast.get("training_seconds"), summary["seconds"]
            ),
            Cost(english("Evaluation"), "seconds", forecast.get("test_seconds"), test),
            Cost(
                english("Peak memory"), "bytes", forecast.get("peak_memory"), summary["peak_memory"]
            ),
        ]

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep run --json``."""
        evaluated, registered = self.evaluated, self.registered
        validated = self.results[ValidationResult]
        return {
            "model": registered.name,
            "version": registered.version,
            "uri": registered.uri,
            "alias": registered.alias,
            "verdict": registered.verdict,
            "gate": registered.gate,
            "headline": evaluated.primary_metric,
            "interval": list(evaluated.interval),
            "metrics": evaluated.metrics,
            "baseline": {"name": evaluated.baseline_name} | evaluated.baseline,
            "rows": validated.rows,
            "quarantined": validated.quarantined,
            "changes": self.changes.record() if self.changes else None,
            "hints": list(self.hints),
            "training": self.results[FinetuningResult].summary,
            "reused": {run.stage.key: run.result.reused for run in self.results},
            "mlflow_run": self.run_url,
            "report": str(self.report),
        }


class Run:
    """Config, inputs, tracking and results of one run; a trial registers nothing.

    The ``claim`` records its unfinished work, in case this process dies.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """

    def __init__(
        self,
        config: Pipeline,
        workspace: Workspace,
        claim: Claim,
        stages: Sequence[Stage],
        *,
        trial: bool = False,
    ) -> None:
        self.config = config
        self.trial = trial
        self.workspace = workspace
        self.inputs = inputs.locate(config)
        inputs.require_fit(self.inputs.base, config.application, workspace)
        versions = [stage.version for stage in stages]
        self.fingerprint, self.digests = fingerprint(config, self.inputs, versions)
        tags = self.digests | descriptive_tags(config, self.inputs.base)
        self.tracker = Tracker(workspace, config, self.fingerprint, tags, claim)
        self.origin = Origin(self.fingerprint, self.tracker.run_id, tags)
        self.contract: Report = {}
        self.results = Results()

    def __getitem__(self, kind: type[R]) -> R:
        """The result of an earlier stage, by its type."""
        return self.results[kind]

    @property
    def outcome(self) -> Outcome:
        """The outcome, once all stages have completed."""
        report = self.workspace.run_page(self.config.name)
        found = hints.find(self.config, self[FinetuningResult], self[EvaluationResult])
        found += hints.of_contents(
            {run.stage.name: run.result.stored for run in self.results if run.result.stored}
        )
        return Outcome(self.results, self.tracker.url(), report, hints=found)
