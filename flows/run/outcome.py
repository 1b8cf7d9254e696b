"""The outcome of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.run.stage import Results
from tasks.evaluation import Evaluated
from tasks.finetuning import Tuned
from tasks.registration import Registered
from tasks.validation import Validated


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a finished run is reported from.

    Attributes:
        results: of the stages; ``results[Evaluated]`` is that of the evaluation.
        run_url: of the MLflow run.
        report: the HTML page about the run.
    """

    results: Results
    run_url: str
    report: Path

    @property
    def evaluated(self) -> Evaluated:
        """The test metrics, and the folder with the model."""
        return self.results[Evaluated]

    @property
    def registered(self) -> Registered:
        """The version, and what the gate decided."""
        return self.results[Registered]

    @property
    def promoted(self) -> bool:
        """Whether the gate made the version the champion, in this run or an earlier one."""
        return self.registered.promoted

    @property
    def waits(self) -> bool:
        """Whether the gate let the version pass, and a person has to approve it."""
        return self.registered.waits

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep run --json``."""
        evaluated, registered = self.evaluated, self.registered
        validated = self.results[Validated]
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
            "training": self.results[Tuned].summary,
            "reused": {done.stage.key: done.result.reused for done in self.results},
            "mlflow_run": self.run_url,
            "report": str(self.report),
        }
