"""Run a pipeline or a retraining from Python, with the servers that it needs.

Nothing is printed: progress goes to the listener of :func:`tasks.progress.listening`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from configs.schema import Pipeline
from tasks.trace import span
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from flows.retraining import RetrainingResult
    from flows.run.run import Outcome


def run(
    source: Path | Pipeline,
    overrides: Sequence[str] = (),
    *,
    fresh: bool = False,
    home: Path | None = None,
    trial: bool = False,
) -> Outcome:
    """Run a pipeline, given as a file or as read by :func:`flows.run.reading.read`.

    For the other arguments see :func:`flows.pipeline.pipeline`.

    Raises:
        UserError: the pipeline, its data or its base model is wrong.
        Failure: the run failed for another reason.
    """
    file, settings = _parameters(source)
    with _servers(home):
        with span("import Prefect and the stages"):
            from flows.pipeline import pipeline

        folder = str(home) if home else None
        # Prefect resolves the states that the flows return.
        with span("flow"):
            outcome: Any = pipeline(file, list(overrides), fresh, settings, folder, trial)
        return cast("Outcome", outcome)


def retrain(
    file: Path, overrides: Sequence[str] = (), trigger: Literal["manual", "scheduled"] = "manual"
) -> RetrainingResult:
    """Run a pipeline if its ``schedule.retrain_when`` finds a reason to; errors as :func:`run`."""
    with _servers():
        from flows.retraining import retraining

        result: Any = retraining(str(file), list(overrides), trigger)
        return cast("RetrainingResult", result)


@contextmanager
def _servers(home: Path | None = None) -> Iterator[None]:
    """Provide Prefect, and start loading MLflow in the background."""
    from flows.servers.prefect import prefect_api
    from flows.tracking.tracker import connection

    workspace = Workspace.open(home)
    with prefect_api(workspace):
        connection(workspace)
        yield


def _parameters(source: Path | Pipeline) -> tuple[str, dict[str, Any] | None]:
    """The flow's parameters: a file, and settings in place of its content."""
    if isinstance(source, Path):
        return str(source), None
    file = source.data.folder / f"{source.name}.yaml"
    return str(file), source.model_dump(mode="json", exclude_unset=True)
