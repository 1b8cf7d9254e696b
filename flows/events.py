"""Events for automations: a promotion, a refusal, drift and a failure; never the text of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.drifting import Drifted
    from flows.run import Outcome

PROMOTED = "onestep.model.promoted"
REFUSED = "onestep.model.refused"
DRIFTED = "onestep.data.drifted"
FAILED = "onestep.pipeline.failed"


def decided(pipeline: str, outcome: Outcome) -> None:
    """Tell what the gate decided in this run; a version that was judged before makes no event."""
    registered = outcome.registered
    if registered.reused or outcome.waits:
        return
    payload = {
        "pipeline": pipeline,
        "verdict": registered.verdict,
        "version": registered.version,
        "model": registered.uri,
        "mlflow_run": outcome.run_url,
    }
    _emit(PROMOTED if outcome.promoted else REFUSED, "model", registered.name, payload)


def drifted(pipeline: str, found: Drifted, run_url: str) -> None:
    """Tell that new data is far from the champion's."""
    payload = {
        "pipeline": pipeline,
        "reason": found.note,
        "version": int(found.reference.rpartition("/")[2]),
        "model": found.reference,
        "mlflow_run": run_url,
    }
    _emit(DRIFTED, "pipeline", pipeline, payload)


def failed(pipeline: str, reason: str, run_url: str) -> None:
    """Tell that a run ended without a model."""
    payload = {"pipeline": pipeline, "reason": reason, "mlflow_run": run_url}
    _emit(FAILED, "pipeline", pipeline, payload)


def _emit(event: str, kind: str, name: str, payload: dict[str, Any]) -> None:
    # The environment of the server has to be there before Prefect is imported.
    from prefect.events import emit_event

    resource = {
        "prefect.resource.id": f"onestep.{kind}.{name}",
        "prefect.resource.name": name,
    }
    emit_event(event, resource, payload=payload)
