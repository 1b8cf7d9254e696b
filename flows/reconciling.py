"""Clean up after dead processes: once at the start, quick, and safe to repeat.

Prefect and MLflow would show a killed run as running for ever. The claims of dead processes name
their runs: only runs of this workspace are changed, and none of a living process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from configs.errors import TrackingFailure
from configs.files import PARTIAL
from configs.language import _, english
from flows.servers import outbox
from tasks import claims
from tasks.claims import DeadClaim
from tasks.store import lock
from tasks.tracking import registry
from tasks.tracking.client import patiently
from tasks.tracking.relay import MARKER, Relay
from tasks.tracking.runs import FINGERPRINT
from tasks.tracking.step_sender import StepSender, elsewhere
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from prefect.client.orchestration import SyncPrefectClient

PATIENCE_SECONDS: Final = 20.0
MOST_TASKS: Final = 200
WEEK: Final = 7 * 86_400.0
REGISTERING: Final = "register-"
WHY: Final = registry.WITHDRAWN + "its registration was never finished"


@dataclass
class CleanupReport:
    """What was cleaned up, as the note names it."""

    crashed: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    @property
    def note(self) -> str:
        """One line for people; empty if there was nothing to do."""
        counts = {
            english("{count:d} Prefect runs marked as crashed"): self.crashed,
            english("{count:d} MLflow runs marked as killed"): self.killed,
            english("{count:d} MLflow runs completed with metrics"): self.sent,
            english("{count:d} unfinished versions withdrawn"): self.withdrawn,
            english("{count:d} leftovers removed"): self.swept,
        }
        return ", ".join(what.format(count=len(found)) for what, found in counts.items() if found)


def reconcile(
    workspace: Workspace,
    client: MlflowClient,
    models: Iterable[str] = (),
    expected: Collection[str] = (),
) -> CleanupReport:
    """Clean up after dead processes.

    Unfinished versions of the ``models`` are withdrawn, except those of the ``expected``
    fingerprints, whose registration is about to be finished.

    Raises:
        TrackingFailure: MLflow does not answer; the next call continues.
    """
    found = CleanupReport()
    with lock(workspace.locks / "reconcile.lock"):
        gone, living = claims.inspect(workspace.locks)
        held = claims.fingerprints(living)
        _crash([entry["id"] for one in gone for entry in one.of("flow_run")], found)
        for one in gone:
            if _end_runs(one, held, workspace, client, found):
                one.remove()
        for model in models:
            _withdraw(workspace, client, model, held | set(expected), found)
        outbox.deliver(workspace)
        found.swept += [str(path) for path in workspace.store.sweep()]
        found.swept += [str(path) for path in _sweep(workspace)]
    return found


def _crash(flow_runs: list[str], found: CleanupReport) -> None:
    """Mark flow runs as crashed."""
    if not flow_runs:
        return
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    message = "its process was gone when the next one started"
    with get_client(sync_client=True) as client:
        for run in dict.fromkeys(flow_runs):
            with suppress(ObjectNotFound):
                state = client.read_flow_run(run).state  # type: ignore[arg-type]
                if state is not None and not state.is_final():
                    _crash_tasks(client, run)
                    client.set_flow_run_state(run, Crashed(message=message), force=True)
                    found.crashed.append(run)


def _crash_tasks(client: SyncPrefectClient, flow_run: str) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort
    from prefect.states import Crashed

    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    newest = TaskRunSort.ID_DESC
    # The server refuses a request without these two.
    for task in client.read_task_runs(flow_run_filter=chosen, sort=newest, limit=MOST_TASKS):
        if task.state is not None and not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(), force=True)


def _end_runs(
    one: DeadClaim, held: set[str], workspace: Workspace, client: MlflowClient, found: CleanupReport
) -> bool:
    """Complete the MLflow runs of a dead process, and return whether nothing is left to do.

    A run that another machine writes to is left for later.
    """
    folders = {entry["fingerprint"]: Path(entry["folder"]) for entry in one.of("events")}
    done = True
    for entry in one.of("mlflow_run"):
        fingerprint = entry["fingerprint"]
        if fingerprint in held or (run := _run_of(client, entry)) is None:
            continue
        if elsewhere(run, workspace):
            done = False
            continue
        sender = StepSender(client, workspace, fingerprint)
        _end_run(run, folders.get(fingerprint), sender, found)
    return done


def _end_run(run: Run, folder: Path | None, sender: StepSender, found: CleanupReport) -> None:
    run_id = str(run.info.run_id)
    if folder is not None and _send(sender, run_id, folder):
        found.sent.append(run_id)
    if run.info.status == "RUNNING":
        sender.client.set_terminated(run_id, "KILLED")
        found.killed.append(run_id)


def _run_of(client: MlflowClient, entry: Mapping[str, str]) -> Run | None:
    """The run that a claim names, unless its process died before it opened the run."""

    def look() -> Run | None:
        experiment = client.get_experiment_by_name(entry["experiment"])
        if experiment is None:
            return None
        tag = f"tags.`{FINGERPRINT}` = '{entry['fingerprint']}'"
        runs = client.search_runs([experiment.experiment_id], tag, max_results=1)
        return runs[0] if runs else None

    return patiently(look, _("find the runs of dead processes"), PATIENCE_SECONDS)


def _send(sender: StepSender, run_id: str, folder: Path) -> bool:
    """Send missing steps to a run; return whether any were missing."""
    client = sender.client
    if not folder.exists():
        # The training was complete, and its folder has its final name.
        folder = folder.with_name(folder.name.removesuffix(PARTIAL))
    known = len(client.get_metric_history(run_id, MARKER))
    relay = Relay(client, lambda: run_id, folder, sender, lambda _: None).start()
    if not relay.close(PATIENCE_SECONDS):
        raise TrackingFailure(_("the steps in {folder} have not reached MLflow yet", folder=folder))
    return len(client.get_metric_history(run_id, MARKER)) > known


def _withdraw(
    workspace: Workspace, client: MlflowClient, model: str, busy: set[str], found: CleanupReport
) -> None:
    """Withdraw versions whose registration was interrupted and will not be finished."""

    def settle() -> None:
        with registry.lease(workspace, model):
            versions = registry.versions(client, model)
            served = set(registry.aliases(client, model).values())
            for version in versions:
                number = int(version.version)
                fingerprint = version.tags.get(FINGERPRINT, "")
                unfinished = fingerprint and registry.VERDICT not in version.tags
                if not unfinished or fingerprint in busy or number in served:
                    continue
                if _superseded(version, versions):
                    client.set_model_version_tag(model, str(number), registry.VERDICT, WHY)
                    found.withdrawn.append(f"{model}/{number}")

    patiently(settle, _("look for unfinished versions of {model}", model=model), PATIENCE_SECONDS)


def _superseded(version: ModelVersion, versions: Iterable[ModelVersion]) -> bool:
    """Whether a later version has a verdict, or a week has passed: it will hardly run again."""
    later = (v for v in versions if int(v.version) > int(version.version))
    age = time.time() - version.creation_timestamp / 1000
    return age > WEEK or any(registry.VERDICT in v.tags for v in later)


def _sweep(workspace: Workspace) -> Iterator[Path]:
    """Remove copies of dead registrations, and everything else that is older than a week.

    A run claims its fingerprint before it makes a folder, so the claims are read after the folders.
    """
    paths = sorted(workspace.temporary.iterdir())
    _, living = claims.inspect(workspace.locks)
    held = claims.fingerprints(living)
    for path in paths:
        owner = path.name.removeprefix(REGISTERING)
        dead = owner != path.name and not any(one.startswith(owner) for one in held)
        with suppress(FileNotFoundError):
            if dead or time.time() - path.stat().st_mtime > WEEK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                yield path
