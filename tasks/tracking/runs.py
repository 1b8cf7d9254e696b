"""Runs of MLflow, and what is logged to them.

One MLflow run belongs to one fingerprint, so a resumed or repeated command continues the same
run and logs nothing twice.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from configs.errors import UserError
from configs.language import _
from tasks.store import read_json
from tasks.tracking.client import ignoring, public, transfer, ui_address
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

FINGERPRINT = "onestep.fingerprint"
PARAMS_PER_CALL = 100
REPORT = "report.html"
"""The page about a run, an artifact of it."""
SETTINGS = "artifacts/package/predictor.json"
"""The settings of a model, below its own folder."""
MODE = "workflowType=machine_learning"
"""Query of MLflow's pages: without it they open for assistants, whatever the experiment's kind."""
VIEW = "onestep"
"""Key and name of the saved view of an experiment."""


def lease(workspace: Workspace, fingerprint: str) -> AbstractContextManager[None]:
    """Hold the exclusive right, on all machines, to change the run of a fingerprint."""
    return workspace.lease(f"mlflow-run-{fingerprint[:32]}")


def open_run(
    client: MlflowClient,
    workspace: Workspace,
    experiment: str,
    fingerprint: str,
    name: str,
    params: Mapping[str, str] | None = None,
) -> str:
    """Find the run of a fingerprint, or start it; return its id.

    Parameters that the fingerprint ignores, such as the path of a file, keep their first value:
    MLflow refuses another one.
    """
    experiment_id = _experiment(client, workspace, experiment)
    with lease(workspace, fingerprint):
        run_id = _find_or_create(client, experiment_id, fingerprint, name)
        if params:
            log_params(client, run_id, params)
    return run_id


def _find_or_create(client: MlflowClient, experiment_id: str, fingerprint: str, name: str) -> str:
    found = client.search_runs(
        [experiment_id], f"tags.`{FINGERPRINT}` = '{fingerprint}'", max_results=1
    )
    if found:
        run_id: str = found[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        return run_id
    tags = {FINGERPRINT: fingerprint, "mlflow.runName": name}
    created: Run = client.create_run(experiment_id, tags=tags)
    return str(created.info.run_id)


def _experiment(client: MlflowClient, workspace: Workspace, name: str) -> str:
    if known := _known_experiment(client, workspace, name):
        return known
    with workspace.lease("mlflow-experiment"):
        if known := _known_experiment(client, workspace, name):
            return known
        location = (workspace.artifacts / name).as_uri() if workspace.embedded else None
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, location, tags))


def _known_experiment(client: MlflowClient, workspace: Workspace, name: str) -> str:
    """The id of an experiment; empty if there is none.

    Raises:
        UserError: it was deleted; MLflow keeps it and its name.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        return ""
    number = str(found.experiment_id)
    if found.lifecycle_stage == "deleted":
        place = shlex.quote(public(workspace.tracking_uri))
        command = f"MLFLOW_TRACKING_URI={place} mlflow experiments restore -x {number}"
        message = _("the experiment {name!r} was deleted in MLflow", name=name)
        raise UserError.at(
            "name",
            message,
            _("restore it with `{command}`, or rename the pipeline", command=command),
        )
    return number


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested sections as dotted keys, the way MLflow shows parameters."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat[name] = shown[:6000]
    return flat


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters that the run does not have yet."""
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    new = [Param(name, value) for name, value in params.items() if name not in known]
    for start in range(0, len(new), PARAMS_PER_CALL):
        client.log_batch(run_id, params=new[start : start + PARAMS_PER_CALL])


def log_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags, replacing earlier values."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def log_figures(
    client: MlflowClient, run_id: str, figures: Mapping[str, float], step: int, kept: bool = True
) -> None:
    """Log final metrics at a step, unless the run has them already; call it under the lease.

    With ``kept`` existing values stay, because a version was registered with them. Otherwise they
    may be those of a model that was not registered: only its cost, ``train/``, stays.
    """
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)

    def is_new(name: str, value: float) -> bool:
        if name in known and (kept or name.startswith("train/")):
            return False
        return known.get(name) != value and not isnan(value)

    new = [Metric(n, v, now, step) for n, v in figures.items() if is_new(n, v)]
    if new:
        client.log_batch(run_id, metrics=new)


def log_files(
    client: MlflowClient, run_id: str, folder: Path, target: str, known: Collection[str] = ()
) -> None:
    """Upload the files of a folder, not of the folders below it, except for known ones."""
    with transfer():
        for path in sorted(folder.iterdir()):
            wanted = path.name != "manifest.json" and f"{target}/{path.name}" not in known
            if path.is_file() and wanted:
                client.log_artifact(run_id, str(path), target)


def log_folder(client: MlflowClient, run_id: str, folder: Path, target: str) -> None:
    """Upload a folder with all that is below it."""
    with transfer():
        client.log_artifacts(run_id, str(folder), target)


def read_artifact(client: MlflowClient, workspace: Workspace, run_id: str, path: str) -> Any:
    """Read a JSON file of a run; None if the run has no such file."""
    with TemporaryDirectory(dir=workspace.temporary) as folder:
        found = fetch_artifact(client, run_id, path, Path(folder))
        return None if found is None else read_json(found)


def fetch_artifact(client: MlflowClient, run_id: str, path: str, folder: Path) -> Path | None:
    """Download a file of a run; None if the run has no such file."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ConnectionError

    if not has_artifact(client, run_id, path):
        return None
    try:
        return Path(client.download_artifacts(run_id, path, str(folder)))
    except MlflowException as error:
        # The file exists, so the server did not answer; MLflow reports it as missing.
        raise ConnectionError(
            _("{path} of run {run_id} was not downloaded", path=path, run_id=run_id)
        ) from error


def has_artifact(client: MlflowClient, run_id: str, path: str) -> bool:
    """Whether a run has a file; the error of a failed download does not show it."""
    with ignoring("RESOURCE_DOES_NOT_EXIST"):
        known = client.list_artifacts(run_id, path.rpartition("/")[0] or None)
        return path in {entry.path for entry in known}
    return False


def run_url(client: MlflowClient, workspace: Workspace, run_id: str) -> str:
    """The address of a run in the MLflow UI."""
    experiment = client.get_run(run_id).info.experiment_id
    return f"{ui_address(workspace)}/#/experiments/{experiment}/runs/{run_id}?{MODE}"


def artifact_url(run_url: str, path: str) -> str:
    """The address of an artifact of a run, given that of the run."""
    page, _, query = run_url.partition("?")
    return f"{page}/artifacts/{path}?{query}"


def view_url(run_url: str) -> str:
    """The address of the saved view of all runs, given that of one of them."""
    page, _, query = run_url.partition("?")
    return f"{page.rpartition('/')[0]}?{query}&viewStateShareKey={VIEW}"


def save_view(client: MlflowClient, run_id: str, metrics: Sequence[str]) -> None:
    """Save a view of the experiment's runs with these metrics as columns, unless there is one.

    MLflow's default columns cannot be chosen; its page has a menu of saved views.
    """
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    key = f"mlflow.sharedViewState.{VIEW}"
    if key in experiment.tags:
        return
    columns = [f"metrics.`{name}`" for name in metrics]
    state = json.dumps({"selectedColumns": [*columns, "attributes.`Description`"]})
    view = {"name": VIEW, "createdAt": int(time.time() * 1000), "state": state}
    client.set_experiment_tag(experiment.experiment_id, key, json.dumps(view))


def uri_of(version: ModelVersion) -> str:
    """A registered version as MLflow writes it."""
    return f"models:/{version.name}/{version.version}"


def portable(version: ModelVersion) -> ModelVersion:
    """What identifies a version, for another process: fields of a server cannot be pickled."""
    from mlflow.entities.model_registry import ModelVersion

    made = version.name, str(version.version), version.creation_timestamp
    return ModelVersion(*made, run_id=version.run_id)


def read_signature(workspace: Workspace, version: ModelVersion) -> tuple[dict[str, Any], list[str]]:
    """The settings of a registered version and the columns of its answers, without its weights."""
    import mlflow.artifacts
    import mlflow.models

    uri = uri_of(version)
    with TemporaryDirectory() as folder, transfer():
        path = mlflow.artifacts.download_artifacts(f"{uri}/{SETTINGS}", dst_path=folder)
        settings: dict[str, Any] = read_json(Path(path))
        answers = mlflow.models.get_model_info(uri).signature.outputs
    return settings, [column.name for column in answers]


def load_model(workspace: Workspace, version: ModelVersion) -> Any:
    """Load a registered version without leaving a copy on disk."""
    import mlflow.pyfunc

    uri, plain = uri_of(version), workspace.root.as_uri() == f"file://{workspace.root}"
    # The warnings are not shown, and finding their reasons takes a second.
    load = partial(mlflow.pyfunc.load_model, uri, suppress_warnings=True)
    if workspace.embedded and plain:
        return load()
    with TemporaryDirectory(dir=workspace.temporary) as folder, transfer():
        if plain:
            return load(dst_path=folder)
        # MLflow would read the name of the folder as an address, with a query or escapes.
        with TemporaryDirectory() as outside:
            link = Path(outside) / "link"
            link.symlink_to(folder)
            return load(dst_path=str(link))
