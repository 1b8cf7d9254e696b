"""Events for Prefect automations: promotions, refusals, drift, failures; never text of rows.

A decision about a model happens only once: it is written to the outbox before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flows.servers import outbox
from tasks.tracking import registry
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from flows.run.drift import DriftReport
    from tasks.registration import RegistrationResult

PROMOTED = "onestep.model.promoted"
ROLLED_BACK = "onestep.model.rolled_back"
REFUSED = "onestep.model.refused"
DRIFTED = "onestep.data.drifted"
FAILED = "onestep.pipeline.failed"


def note_decision(
    workspace: Workspace, pipeline: str, registered: RegistrationResult, run_url: str
) -> None:
    """Record the decision of the gate, unless a person has yet to approve it."""
    if registered.waits:
        return
    payload = {
        "pipeline": pipeline,
        "verdict": registered.verdict,
        "version": registered.version,
        "model": registered.uri,
        "mlflow_run": run_url,
    }
    event = PROMOTED if registered.promoted else REFUSED
    resource = _resource("model", registered.name)
    # On disk before Prefect is asked for the related run.
    for related in (list, _related):
        outbox.note(workspace, event, resource, payload, related())


def note_champion_change(
    workspace: Workspace, name: str, entry: Mapping[str, Any], run_url: str
) -> None:
    """Record that a person has changed the champion; ``entry`` is of the audit trail."""
    payload = {
        "who": entry["by"],
        "reason": entry["why"],
        "version": entry["version"],
        "previous": entry["before"],
        "model": f"models:/{name}/{entry['version']}",
        "mlflow_run": run_url,
        "time": entry["time"],
    }
    event = ROLLED_BACK if entry["event"] == registry.ROLLED_BACK else PROMOTED
    outbox.note(workspace, event, _resource("model", name), payload)


def emit_drift(pipeline: str, found: DriftReport, run_url: str) -> None:
    """Emit that new data has drifted from the champion's."""
    payload = {
        "pipeline": pipeline,
        "reason": found.note,
        "version": int(found.reference.rpartition("/")[2]),
        "model": found.reference,
        "mlflow_run": run_url,
    }
    _emit(DRIFTED, pipeline, payload)


def emit_failure(pipeline: str, reason: str, run_url: str) -> None:
    """Emit that a run ended without a model."""
    payload = {"pipeline": pipeline, "reason": reason, "mlflow_run": run_url}
    _emit(FAILED, pipeline, payload)


def _emit(event: str, pipeline: str, payload: dict[str, Any]) -> None:
    # The environment must be set before Prefect is imported.
    from prefect.events import emit_event

    emit_event(event, _resource("pipeline", pipeline), payload=payload)


def _resource(kind: str, name: str) -> dict[str, str]:
    return {"prefect.resource.id": f"onestep.{kind}.{name}", "prefect.resource.name": name}


def _related() -> list[dict[str, str]]:
    """The current Prefect run, related to the event as Prefect does for its own events."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.events.related import related_resources_from_run_context
    from prefect.runtime import flow_run
    from prefect.utilities.asyncutils import run_coro_as_sync

    async def ask() -> list[dict[str, str]]:
        async with get_client() as client:
            found = await related_resources_from_run_context(client)
        return [dict(resource.items()) for resource in found]

    if flow_run.id is not None:
        with suppress(httpx.HTTPError):
            return run_coro_as_sync(ask()) or []
    return []
