"""Retraining, started by a schedule or a command: run a pipeline if there is a reason to.

With unchanged data it ends before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.errors import TrackingFailure
from configs.language import _, english
from flows.pipeline import pipeline
from flows.prefect_run.flow import (
    Trigger,
    claimed_flow,
    decided_state,
    explained,
    first_name,
    rename,
    reported,
)
from flows.reconciling import reconcile
from flows.run.drift import against_champion
from flows.run.inputs import quiet
from flows.run.reading import read
from flows.run.run import Outcome, Run
from flows.servers.leases import shared
from flows.stages import STAGES
from tasks.progress import Notice, announce
from tasks.tracking import registry
from tasks.tracking.client import patiently
from tasks.tracking.runs import FINGERPRINT
from tasks.validation import validate
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SAME = ("onestep.config", "onestep.base_model", "onestep.code")
"""Tags that two runs share if only their files differ."""
ROWS = "onestep.rows"


@dataclass(frozen=True, slots=True)
class RetrainingResult:
    """The pipeline's name, one line for people, and the outcome unless there was nothing to do."""

    pipeline: str
    note: str
    outcome: Outcome | None = None

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep retrain --json``."""
        ran = self.outcome.record() if self.outcome else {}
        return {"pipeline": self.pipeline, "trained": bool(ran), "note": self.note} | ran


@flow(name="retraining", flow_run_name=first_name, persist_result=False)
@explained
def retraining(
    file: str, overrides: Sequence[str] = (), trigger: Trigger | None = None
) -> State[RetrainingResult]:
    """Run a pipeline if its ``schedule.retrain_when`` finds a reason to.

    Args:
        file: path of the YAML file.
        overrides: ``dotted.key=value`` strings.
        trigger: what started it; by default as Prefect knows it.
    """
    quiet()
    workspace = shared(Workspace.open())
    with claimed_flow(workspace) as claim:
        with reported(Path(file).stem) as subject:
            subject.run = run = Run(read(Path(file), overrides), workspace, claim, STAGES)
            rename(run, trigger)
            _clean_up(run)
            name, note = run.config.name, nothing_to_do(run)
        if note:
            return Completed(name="Unchanged", message=note, data=RetrainingResult(name, note))
        # Prefect resolves the state that the flow returns.
        outcome = cast("Outcome", pipeline(file, list(overrides)))
        note = outcome.registered.note
        return decided_state(outcome, RetrainingResult(name, note, outcome))


def _clean_up(run: Run) -> None:
    models, client = [run.config.model_name], run.tracker.client
    try:
        note = reconcile(run.workspace, client, models, {run.fingerprint}).note
    except TrackingFailure as error:
        # The next run tries again.
        note = str(error)
    if note:
        announce(Notice(note))


def nothing_to_do(run: Run) -> str:
    """Why no run is needed: nothing is new, or nothing has drifted; empty if one is."""
    when = run.config.schedule.retrain_when
    if when == "always":
        return ""
    versions = _versions(run)
    for version in versions:
        if version.tags.get(FINGERPRINT) == run.fingerprint:
            return english(
                "nothing new: same data digest as version {version}", version=version.version
            )
    alike = [v for v in versions if all(v.tags.get(tag) == run.digests[tag] for tag in SAME)]
    if when == "changed" and not alike:
        return ""
    validated = validate(run.config, run.workspace, run.inputs.sources)
    for version in alike:
        if _rows(run, version) == validated.digest:
            return english("nothing new: same rows as version {version}", version=version.version)
    if when == "changed":
        return ""
    drifted = against_champion(run.config, run.workspace, run.tracker.client, validated)
    if drifted is None or drifted.found:
        return ""
    return english("nothing to do: {note}", note=drifted.note)


def _versions(run: Run) -> list[ModelVersion]:
    """The versions with a final verdict."""
    client, name = run.tracker.client, run.config.model_name

    def look() -> list[ModelVersion]:
        return [v for v in registry.versions(client, name) if registry.settled(v)]

    return patiently(look, _("look up the versions of {name}", name=name))


def _rows(run: Run, version: ModelVersion) -> str:
    """Digest of the rows that a version was trained on."""
    client = run.tracker.client
    tags = patiently(
        lambda: client.get_run(str(version.run_id)).data.tags, _("look up the rows of a version")
    )
    return str(tags.get(ROWS, ""))
