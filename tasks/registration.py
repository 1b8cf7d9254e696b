"""Stage 5, registration: exactly one version per fingerprint, then the gate and the alias."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.champion import gate
from tasks.champion.comparison import PROBLEM, Rivals, compare
from tasks.champion.gate import Decision, Evidence
from tasks.champion.paired import Comparison
from tasks.errors import DataError, Problem
from tasks.evaluation import Evaluated
from tasks.store import read_json
from tasks.tracking import artifacts, lineage, packaging, registry
from tasks.tracking.registry import Move
from tasks.tracking.runs import FINGERPRINT, log_folder, patiently
from tasks.validation import Validated
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ARTIFACT = "model"
PACKAGE = "onestep.package"
"""Tag with the digest of everything that a version serves."""


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
        gate: the decision and what it rests on: see :meth:`tasks.champion.gate.Decision.record`.
    """

    name: str
    version: int
    alias: str | None
    verdict: str
    reused: bool
    seconds: float
    gate: dict[str, Any] = field(default_factory=dict)

    @property
    def stored(self) -> None:
        """No folder: the version is in the registry."""

    @property
    def uri(self) -> str:
        """The version for ``mlflow.pyfunc.load_model``."""
        return f"models:/{self.name}/{self.version}"

    @property
    def promoted(self) -> bool:
        """Whether the gate made the version the champion, in this run or an earlier one."""
        return self.alias == registry.CHAMPION or self.verdict.startswith("promoted")

    @property
    def waits(self) -> bool:
        """Whether the gate let the version pass, and a person has to approve it."""
        checks = self.gate.get("checks") or ()
        return bool(checks) and not self.promoted and all(check["passed"] for check in checks)

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


Told = Callable[[Registered], None]


def register(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    evaluated: Evaluated,
    validated: Validated,
    origin: Origin,
    *,
    decided: Told = lambda _: None,
) -> Registered:
    """Register the evaluated model, unless its fingerprint is registered, and apply the gate.

    The champion is asked before the lease is taken, since that takes long; if there is another
    champion by then, it is asked too.

    Args:
        config: the pipeline.
        workspace: where outputs live.
        client: of MLflow.
        evaluated: the model.
        validated: the rows that it was made from.
        origin: where it comes from.
        decided: told the decision when it is carried out, and before it counts as settled: again
            in a later run if this one is killed in between.

    Raises:
        TrackingFailure: MLflow stayed out of reach.
        DataError: no check of the data contract has seen the rows of the model.
    """
    started = time.perf_counter()
    stage = _Registration(config, workspace, client, evaluated, validated, origin, decided, started)
    return patiently(stage.settle, f"register {config.model_name}")


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the registry has of a model.

    Attributes:
        found: the version of this fingerprint.
        champion: the version that is served.
        record: what has been decided about the version, by an earlier run.
    """

    found: ModelVersion | None
    champion: ModelVersion | None
    record: dict[str, Any] | None

    @property
    def settled(self) -> bool:
        """Whether an earlier run has done everything."""
        return self.found is not None and registry.settled(self.found)

    @property
    def rival(self) -> ModelVersion | None:
        """The champion that the version is yet to be compared with."""
        return None if self.record is not None or self.by_hand else self.champion

    @property
    def by_hand(self) -> bool:
        """Whether the version is the champion already."""
        return self.found is not None and _number(self.found) == _number(self.champion)


@dataclass(frozen=True, slots=True)
class _Registration:
    """What the steps of the stage share."""

    config: Pipeline
    workspace: Workspace
    client: MlflowClient
    evaluated: Evaluated
    validated: Validated
    origin: Origin
    decided: Told
    started: float

    @property
    def name(self) -> str:
        """The registered model."""
        return self.config.model_name

    def settle(self) -> Registered:
        """Find or make the version, and decide about it with the champion of that moment."""
        rules = _require_checks(self.evaluated.package)
        while True:
            seen = self._stand()
            comparison = self._compare(seen.rival) if seen.rival is not None else None
            with registry.lease(self.workspace, self.name):
                now = self._stand()
                if _number(now.rival) != _number(seen.rival):
                    continue
                evidence = _evidence(self.evaluated, rules, _number(seen.rival), comparison)
                version, record = self._decide(now, evidence)
            return self._registered(version, record, now.settled)

    def _registered(
        self, version: ModelVersion, record: dict[str, Any], settled: bool
    ) -> Registered:
        number, alias, verdict = int(version.version), record["alias"], record["verdict"]
        seconds = time.perf_counter() - self.started
        return Registered(self.name, number, alias, verdict, settled, seconds, record)

    def _stand(self) -> _Standing:
        """What the registry has of this model now."""
        champion = registry.champion(self.client, self.name)
        found = registry.find(self.client, self.name, self.origin.fingerprint)
        if found is None:
            return _Standing(None, champion, None)
        if registry.settled(found):
            return _Standing(found, champion, self._settled(found))
        # Carried out as a killed run has decided, unless there is another champion since.
        record = self._recorded(found) if _decided(found, champion) else None
        return _Standing(found, champion, record)

    def _compare(self, rival: ModelVersion) -> Comparison:
        tags = {**self.origin.tags, PROBLEM: _problem(self.evaluated)}
        rivals = Rivals(self.config, self.workspace, self.client, self.evaluated, self.validated)
        return compare(rivals, rival, tags)

    def _decide(self, now: _Standing, evidence: Evidence) -> tuple[ModelVersion, dict[str, Any]]:
        """Apply the gate once per version.

        The decision is written down before an alias moves, so that a killed run is completed and
        not decided again; the verdict last, which says that all is settled.
        """
        if now.found is not None and now.record is not None:
            if not now.settled:
                self._carry_out(now.found, now.record)
            return now.found, now.record
        version = self._complete(now.found) if now.found is not None else self._create()
        record = self._new_decision(version, now, evidence)
        self._carry_out(version, record)
        return version, record

    def _create(self) -> ModelVersion:
        run_id = self.origin.run_id()
        self._upload(run_id)
        tags = {
            **self.config.registry.tags,
            FINGERPRINT: self.origin.fingerprint,
            registry.HEADLINE: self.evaluated.headline,
            PROBLEM: _problem(self.evaluated),
            PACKAGE: packaging.package_digest(self.evaluated.package),
            **self.origin.tags,
        }
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
        return registry.create(self.client, self.name, source, run_id, tags)

    def _upload(self, run_id: str) -> None:
        scratch = self.workspace.scratch(f"register-{self.origin.fingerprint[:32]}")
        model = _save(scratch / ARTIFACT, self.config, self.evaluated)
        log_folder(self.client, run_id, model, ARTIFACT)
        shutil.rmtree(scratch)
        written = lineage.record(self.config, self.validated)
        self.client.log_dict(run_id, written, lineage.FILE)

    def _complete(self, version: ModelVersion) -> ModelVersion:
        """Make sure that a killed run's version holds the very model that is judged now."""
        package = packaging.package_digest(self.evaluated.package)
        if version.tags.get(PACKAGE) != package:
            self._upload(str(version.run_id))
            self._tag(version, PACKAGE, package)
        return version

    def _new_decision(
        self, version: ModelVersion, now: _Standing, evidence: Evidence
    ) -> dict[str, Any]:
        decision = gate.decide(evidence, self.config.gate)
        if now.by_hand:
            decision = Decision("champion", "promoted by hand before the gate had decided")
        record = decision.record(evidence)
        self.client.log_dict(str(version.run_id), record, lineage.GATE)
        brief = {"alias": record["alias"], "before": evidence.champion}
        self._tag(version, registry.DECISION, json.dumps(brief))
        return record

    def _carry_out(self, version: ModelVersion, record: dict[str, Any]) -> None:
        number, alias, verdict = int(version.version), record["alias"], record["verdict"]
        if alias == registry.CHAMPION:
            champion = registry.aliases(self.client, self.name).get(registry.CHAMPION)
            before = _number_in(record) if champion == number else champion
            registry.enthrone(self.client, Move(self.name, number, before, "promoted", verdict))
        elif alias:
            registry.set_alias(self.client, self.name, alias, number)
        self.decided(self._registered(version, record, settled=False))
        self._tag(version, registry.VERDICT, verdict)

    def _tag(self, version: ModelVersion, key: str, value: str) -> None:
        self.client.set_model_version_tag(self.name, str(version.version), key, value)

    def _settled(self, version: ModelVersion) -> dict[str, Any]:
        """The decision of an earlier run, and the alias that the version has now."""
        known = registry.aliases(self.client, self.name)
        held = [a for a in registry.ROLES if known.get(a) == int(version.version)]
        now = {"verdict": version.tags[registry.VERDICT], "alias": held[0] if held else None}
        return (self._recorded(version) or {}) | now

    def _recorded(self, version: ModelVersion) -> dict[str, Any] | None:
        record: dict[str, Any] | None = artifacts.read(
            self.client, self.workspace, str(version.run_id), lineage.GATE
        )
        return record


def _require_checks(package: Path) -> int:
    """Refuse a model of whose data nobody knows whether it is valid; return the rules that ran."""
    try:
        report = read_json(package / "contract.json")
    except FileNotFoundError:
        report = {}
    ran = [rule for rule in report.get("rules", ()) if rule.get("looked_at")]
    if report.get("verdict") != "passed" or not ran:
        advice = "run the pipeline from its validation stage: --fresh"
        message = "the data contract has not been checked for the rows of this model"
        raise DataError(Problem("registration", message, advice))
    return len(ran)


def _number(version: ModelVersion | None) -> int | None:
    return None if version is None else int(version.version)


def _decided(version: ModelVersion, champion: ModelVersion | None) -> bool:
    """Whether the gate has decided about a version, with the champion of today."""
    if not (written := version.tags.get(registry.DECISION)):
        return False
    return _number(champion) in (json.loads(written)["before"], int(version.version))


def _number_in(record: dict[str, Any]) -> int | None:
    """The champion that a decision was made against."""
    reference = record.get("reference")
    return int(reference.rpartition("/")[2]) if reference else None


def _evidence(
    evaluated: Evaluated, rules: int, champion: int | None, comparison: Comparison | None
) -> Evidence:
    return Evidence(
        evaluated.headline,
        evaluated.metrics,
        int(evaluated.metrics.get("rows", 0)),
        rules,
        evaluated.cost,
        champion,
        comparison,
    )


def _save(path: Path, config: Pipeline, evaluated: Evaluated) -> Path:
    """Write the model in MLflow's format: code, weights, signature, example, requirements."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec

    from tasks.predictor import load_module

    decoding = load_module(applications.get(config.application).serving.file)
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


def _problem(evaluated: Evaluated) -> str:
    """How rows are labelled and in which languages, in words."""
    settings = read_json(evaluated.package / "predictor.json")
    parts = [settings.get("labelling", ""), *settings.get("languages", ())]
    return " ".join(part for part in parts if part)
