"""Stage 5, registration: exactly one version per fingerprint, then the gate and the alias."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Pipeline
from tasks import gate, packaging, registry
from tasks.applications import base as applications
from tasks.errors import DataError, Problem
from tasks.evaluation import Evaluated
from tasks.gate import Decision
from tasks.store import read_json
from tasks.tracking import FINGERPRINT, log_folder, patiently
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ARTIFACT = "model"
APPLICATION, PROBLEM = "onestep.application", "onestep.problem"


@dataclass(frozen=True, slots=True)
class Registered:
    """The result of the stage.

    Attributes:
        name: the registered model.
        version: its version.
        alias: the alias that the gate gave, if any.
        verdict: why, in words.
        reused: whether an earlier run had registered this fingerprint.
        seconds: wall time.
    """

    name: str
    version: int
    alias: str | None
    verdict: str
    reused: bool
    seconds: float

    @property
    def uri(self) -> str:
        """The version for ``mlflow.pyfunc.load_model``."""
        return f"models:/{self.name}/{self.version}"

    @property
    def note(self) -> str:
        """One line for people."""
        return f"{self.uri}" + (f" is @{self.alias}" if self.alias else "") + f"; {self.verdict}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version comes from.

    Attributes:
        fingerprint: digest of config, data, code and base model together.
        run_id: gives the MLflow run to register from.
        tags: the digests one by one, and what else people look for.
    """

    fingerprint: str
    run_id: Callable[[], str]
    tags: dict[str, str]


def register(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    evaluated: Evaluated,
    origin: Origin,
) -> Registered:
    """Register the evaluated model, unless its fingerprint is registered, and apply the gate.

    Raises:
        TrackingFailure: MLflow stayed out of reach.
        DataError: no check of the data contract has seen the rows of the model.
    """
    started = time.perf_counter()
    name = config.model_name
    _require_checks(evaluated.package)

    def settle() -> Registered:
        with registry.lease(workspace, name):
            found = registry.find(client, name, origin.fingerprint)
            version = found or _create(config, workspace, client, evaluated, origin)
            decision = _decide(config, client, version, evaluated)
            seconds = time.perf_counter() - started
            number = int(version.version)
            return Registered(
                name, number, decision.alias, decision.reason, found is not None, seconds
            )

    return patiently(settle, f"register {name}")


def _require_checks(package: Path) -> None:
    """Refuse a model of whose data nobody knows whether it is valid."""
    try:
        report = read_json(package / "contract.json")
    except FileNotFoundError:
        report = {}
    ran = [rule for rule in report.get("rules", ()) if rule.get("looked_at")]
    if report.get("verdict") != "passed" or not ran:
        advice = "run the pipeline from its validation stage: --fresh"
        message = "the data contract has not been checked for the rows of this model"
        raise DataError(Problem("registration", message, advice))


def _create(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    evaluated: Evaluated,
    origin: Origin,
) -> ModelVersion:
    run_id = origin.run_id()
    scratch = workspace.scratch(f"register-{origin.fingerprint[:32]}")
    model = _save(scratch / ARTIFACT, config, evaluated)
    log_folder(client, run_id, model, ARTIFACT)
    shutil.rmtree(scratch)
    tags = {
        FINGERPRINT: origin.fingerprint,
        registry.HEADLINE: evaluated.headline,
        PROBLEM: _problem(evaluated),
        **origin.tags,
        **config.registry.tags,
    }
    source = f"{client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
    return registry.create(client, config.model_name, source, run_id, tags)


def _save(path: Path, config: Pipeline, evaluated: Evaluated) -> Path:
    """Write the model in MLflow's format: code, weights, signature, example, requirements."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec

    from tasks.predictor import load_module

    decoding = load_module(applications.get(config.application).serving)
    settings = read_json(evaluated.package / "predictor.json")
    inputs, outputs, example = decoding.describe(settings)
    batch = ParamSpec("batch_size", "long", config.evaluation.batch_size)
    mlflow.pyfunc.save_model(
        path,
        python_model=str(packaging.PREDICTOR),
        artifacts={"package": str(evaluated.package)},
        signature=ModelSignature(_schema(inputs), _schema(outputs), ParamSchema([batch])),
        input_example=pd.DataFrame([example]),
        pip_requirements=packaging.requirements(evaluated.package),
        metadata={"application": config.application},
    )
    return path


def _schema(columns: dict[str, str]) -> Any:
    from mlflow.types.schema import Array, ColSpec, DataType, Schema

    types: dict[str, Any] = {
        "array": Array(DataType.double),
        "strings": Array(DataType.string),
    }
    return Schema([ColSpec(types.get(kind, kind), name) for name, kind in columns.items()])


def _decide(
    config: Pipeline, client: MlflowClient, version: ModelVersion, evaluated: Evaluated
) -> Decision:
    """Apply the gate once per version: the alias first, then the tag that says it is settled."""
    number, name = int(version.version), version.name
    known = registry.aliases(client, name)
    if verdict := version.tags.get(registry.VERDICT):
        held = [alias for alias in ("champion", "challenger") if known.get(alias) == number]
        alias: gate.Alias | None = None
        if held:
            alias = "champion" if held[0] == "champion" else "challenger"
        return Decision(alias, verdict)
    current = registry.champion(client, name)
    if current is not None and int(current.version) == number:
        current = None
    metrics = _metrics_of(client, current) if current is not None else None
    decision = gate.decide(evaluated.metrics, metrics, config.gate, evaluated.headline)
    if current is not None and (reason := _incomparable(version, current)):
        decision = Decision(None, f"not promoted: {reason}")
    if decision.alias:
        registry.set_alias(client, name, decision.alias, number)
    client.set_model_version_tag(name, str(number), registry.VERDICT, decision.reason)
    return decision


def _incomparable(version: ModelVersion, champion: ModelVersion) -> str:
    """Why two versions do not solve the same problem; empty if they do."""
    for tag, what in ((APPLICATION, "application"), (PROBLEM, "labelling or language")):
        ours, theirs = version.tags.get(tag), champion.tags.get(tag)
        if ours and theirs and ours != theirs:
            advice = "give the pipeline a registry.name of its own"
            return f"version {champion.version} has another {what}; {advice}"
    return ""


def _problem(evaluated: Evaluated) -> str:
    """How rows are labelled and in which languages, in words."""
    settings = read_json(evaluated.package / "predictor.json")
    parts = [settings.get("labelling", ""), *settings.get("languages", ())]
    return " ".join(part for part in parts if part)


def _metrics_of(client: MlflowClient, version: ModelVersion) -> dict[str, float]:
    """The test metrics that a version was registered with."""
    metrics = client.get_run(str(version.run_id)).data.metrics
    return {k.removeprefix("test/"): v for k, v in metrics.items() if k.startswith("test/")}
