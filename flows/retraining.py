"""Retraining of one pipeline: check whether there is a reason to, then run it.

A schedule calls it, or a person. Unchanged data ends it before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.errors import TrackingFailure
from flows.pipeline import pipeline
from flows.prefect_run import failures
from flows.prefect_run.flow import Trigger, claimed_flow, first_name, rename
from flows.reconciling import reconcile
from flows.run.drift import against_champion
from flows.run.libraries import quiet
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
"""What two runs share that differ in nothing but their files."""
ROWS = "onestep.rows"


@dataclass(frozen=True, slots=True)
class RetrainingResult:
    """The result of a retraining.

    Attributes:
        pipeline: its name.
        note: one line for people.
        outcome: of the run; None if there was nothing to do.
    """

    pipeline: str
    note: str
    outcome: Outcome | None = None

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep retrain --json``."""
        ran = self.outcome.record() if self.outcome else {}
        return {"pipeline": self.pipeline, "trained": bool(ran), "note": self.note} | ran


@flow(name="retraining", flow_run_name=first_name, persist_result=False)
@failures.explained
def retraining(
    file: str, overrides: Sequence[str] = (), trigger: Trigger | None = None
) -> State[RetrainingResult]:
    """Run a pipeline if its schedule's ``when`` finds a reason to.

    Args:
        file: path of the YAML file.
        overrides: ``dotted.key=value`` strings.
        trigger: what began it; by default what Prefect knows of it.
    """
    quiet()
    workspace = shared(Workspace.open())
    with claimed_flow(workspace) as claim:
        with failures.reported(Path(file).stem) as subject:
            subject.run = run = Run(read(Path(file), overrides), workspace, claim, STAGES)
            rename(run, trigger)
            _put_right(run)
            found = RetrainingResult(run.config.name, nothing_to_do(run))
        if found.note:
            return Completed(name="Unchanged", message=found.note, data=found)
        return _train(file, overrides, found.pipeline)


def _put_right(run: Run) -> None:
    models, client = [run.config.model_name], run.tracker.client
    try:
        note = reconcile(run.workspace, client, models, {run.fingerprint}).note
    except TrackingFailure as error:
        # What is left to do stays for the next time.
        note = str(error)
    if note:
        announce(Notice(note))


def _train(file: str, overrides: Sequence[str], name: str) -> State[RetrainingResult]:
    outcome = pipeline(file, list(overrides))
    note = outcome.registered.note
    return Completed(message=note, data=RetrainingResult(name, note, outcome))


def nothing_to_do(run: Run) -> str:
    """Why a run would find nothing new, or nothing that has drifted; empty if it has a reason."""
    when = run.config.schedule.retrain_when
    if when == "always":
        return ""
    versions = _versions(run)
    for version in versions:
        if version.tags.get(FINGERPRINT) == run.fingerprint:
            return f"nothing new: same data digest as version {version.version}"
    alike = [v for v in versions if all(v.tags.get(tag) == run.digests[tag] for tag in SAME)]
    if when == "changed" and not alike:
        return ""
    validated = validate(run.config, run.workspace, run.inputs.sources)
    for version in alike:
        if _rows(run, version) == validated.digest:
            return f"nothing new: same rows as version {version.version}"
    if when == "changed":
        return ""
    drifted = against_champion(run.config, run.workspace, run.tracker.client, validated)
    return "" if drifted is None or drifted.found else f"nothing to do: {drifted.note}"


def _versions(run: Run) -> list[ModelVersion]:
    """The versions that are settled."""
    client, name = run.tracker.client, run.config.model_name

    def look() -> list[ModelVersion]:
        return [v for v in registry.versions(client, name) if registry.settled(v)]

    return patiently(look, f"look up the versions of {name}")


def _rows(run: Run, version: ModelVersion) -> str:
    """The digest of the rows that a version was made from."""
    client = run.tracker.client
    tags = patiently(
        lambda: client.get_run(str(version.run_id)).data.tags, "look up the rows of a version"
    )
    return str(tags.get(ROWS, ""))
