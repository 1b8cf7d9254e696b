"""Run a pipeline or a retraining from Python: with its servers, and without printing anything.

Progress goes to the listener of :func:`tasks.progress.listening`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.schema import Pipeline
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
) -> Outcome:
    """Run a pipeline to its end.

    Args:
        source: a YAML file, or a pipeline that :func:`flows.run.reading.read` has checked.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
        home: the folder to write to; by default that of the environment.

    Raises:
        UserError: the pipeline, its data or its base model is wrong.
        Failure: the input is fine, and the run is not.
    """
    file, settings = _parameters(source)
    with _servers(home):
        from flows.pipeline import pipeline

        return pipeline(file, list(overrides), fresh, settings, str(home) if home else None)


def retrain(
    file: Path, overrides: Sequence[str] = (), trigger: Literal["manual", "scheduled"] = "manual"
) -> RetrainingResult:
    """Run a pipeline if its schedule's ``when`` finds a reason to.

    Raises:
        UserError: the pipeline, its data or its base model is wrong.
        Failure: the input is fine, and the run is not.
    """
    with _servers():
        from flows.retraining import retraining

        # Prefect resolves the state that the flow returns.
        ended: Any = retraining(str(file), list(overrides), trigger)
        retrained: RetrainingResult = ended
        return retrained


@contextmanager
def _servers(home: Path | None = None) -> Iterator[None]:
    """Provide Prefect, and begin to load MLflow."""
    from flows.servers.prefect import prefect_api
    from flows.tracking.tracker import connection

    workspace = Workspace.open(home)
    with prefect_api(workspace):
        connection(workspace)
        yield


def _parameters(source: Path | Pipeline) -> tuple[str, dict[str, Any] | None]:
    """The parameters of the flow: a file, and settings in place of what it says."""
    if isinstance(source, Path):
        return str(source), None
    file = source.data.folder / f"{source.name}.yaml"
    return str(file), source.model_dump(mode="json", exclude_unset=True)
