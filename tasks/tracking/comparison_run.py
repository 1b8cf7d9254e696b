"""Log the comparison with the champion as an MLflow run nested in that of the pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from tasks.tracking import runs

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
FORBIDDEN = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow does not allow in metric names."""


def log(client: MlflowClient, parent: str, gate: Mapping[str, Any]) -> str:
    """Log the comparison of the gate, once per champion; call it under a lock on the parent.

    Returns:
        The id of the nested run.
    """
    version = str(gate["reference"]).rpartition("/")[2]
    run_id = _run(client, parent, f"comparison with version {version}")
    tags = {"onestep.champion": gate["reference"], "onestep.verdict": gate["verdict"]}
    runs.log_tags(client, run_id, tags)
    runs.log_figures(client, run_id, dict(_figures(gate)), 0)
    runs.finish(client, run_id, "FINISHED")
    return run_id


def _run(client: MlflowClient, parent: str, name: str) -> str:
    experiment = client.get_run(parent).info.experiment_id
    same = f"tags.`{PARENT}` = '{parent}' and tags.`mlflow.runName` = '{name}'"
    if found := client.search_runs([experiment], same, max_results=1):
        return str(found[0].info.run_id)
    tags = {PARENT: parent, "mlflow.runName": name}
    return str(client.create_run(experiment, tags=tags).info.run_id)


def _figures(gate: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every finite number by name."""
    named = {"mcnemar": gate.get("mcnemar"), "rows": gate.get("rows")}
    for row in gate.get("metrics") or ():
        metric = row["metric"]
        named |= {f"{side}/{metric}": row.get(side) for side in ("challenger", "champion", "gain")}
        named |= {f"gain_{end}/{metric}": row.get(end) for end in ("low", "high")}
    for part in gate.get("slices") or ():
        figures = ("challenger", "champion", "drop", "rows")
        # MLflow treats slashes as folders.
        flat = part["name"].replace("/", "_")
        named |= {f"slice/{flat}/{figure}": part.get(figure) for figure in figures}
    for name, value in named.items():
        if isinstance(value, int | float) and isfinite(value):
            yield FORBIDDEN.sub("_", name), float(value)
