"""Names of flow runs: pipeline, data and trigger."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from configs.schema import Pipeline

Trigger = Literal["manual", "scheduled"]


def first_name() -> str:
    """Name a Prefect run after its file, until its data is known."""
    from prefect.runtime import flow_run

    return Path(flow_run.get_parameters()["file"]).stem


def trigger() -> Trigger:
    """What started the current flow run: a deployment or another flow, or a person's command."""
    from prefect.runtime import deployment, flow_run

    return "scheduled" if deployment.id or flow_run.parent_flow_run_id else "manual"


def rename(config: Pipeline, digest: str, started_by: Trigger | None = None) -> None:
    """Name the current flow run, such as ``reviews-1a2b3c4d-manual``, once its data is known.

    Without ``started_by``, Prefect knows what started the run.
    """
    from prefect import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    name = f"{config.name}-{digest[:8]}-{started_by or trigger()}"
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(context.flow_run.id, name)
    context.flow_run.name = name
