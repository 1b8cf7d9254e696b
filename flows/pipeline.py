"""The pipeline: every stage in order, from labelled text to a registered model."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.prefect_run.flow import (
    decided_state,
    execute,
    explained,
    first_name,
    opened,
    rename,
    report_outcome,
)
from flows.run.run import Outcome
from flows.stages import STAGES


@flow(name="onestep", flow_run_name=first_name, persist_result=False)
@explained
def pipeline(
    file: str,
    overrides: list[str],
    fresh: bool = False,
    settings: dict[str, Any] | None = None,
    home: str | None = None,
    trial: bool = False,
) -> State[Outcome]:
    """Run every stage of a pipeline, reusing what is already computed.

    Args:
        file: path of the YAML file; relative paths in the settings begin at its folder.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
        settings: a pipeline as JSON values, in place of the content of the file.
        home: the folder to write to; by default that of the environment.
        trial: register nothing; the gate only says what it would decide.
    """
    with opened(file, overrides, fresh, STAGES, settings, home, trial=trial) as run:
        rename(run)
        for stage in STAGES:
            execute(stage, run)
        outcome = report_outcome(run)
    return decided_state(outcome, outcome)
