"""Stage 5, registration: exactly one version per fingerprint, then the gate and the alias."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, Problem
from configs.language import _, english
from configs.schema import Pipeline
from tasks.champion import gate, row_hashes
from tasks.champion.comparison import PROBLEM, Challenger, compare
from tasks.champion.gate import Decision, Evidence
from tasks.champion.paired import Comparison
from tasks.evaluation import EvaluationResult
from tasks.store import StoredOutput, read_json
from tasks.tracking import lineage, packaging, registry, runs
from tasks.tracking.client import patiently, transfer
from tasks.tracking.registry import Move
from tasks.tracking.runs import FINGERPRINT, log_folder
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ARTIFACT = "model"
PACKAGE = "onestep.package"
"""Tag with the digest of everything that a version serves."""
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """The result of the stage: a version of the registered model ``name``.

    Attributes:
        version: its number; None if the run was a trial, which registers nothing.
        alias: the alias that the gate gave, if any.
        verdict: the decision in words.
        reused: whether an earlier run had registered this fingerprint.
        gate: the decision and its evidence, see :meth:`tasks.champion.gate.Decision.record`.
    """

    name: str
    version: int | None
    alias: str | None
    verdict: str
    reused: bool
    seconds: float
    gate: Record = field(default_factory=dict)

    @property
    def stored(self) -> None:
        """No folder: the version is in the registry."""

    @property
    def uri(self) -> str:
        """The version for ``mlflow.pyfunc.load_model``; empty without one."""
        return f"models:/{self.name}/{self.version}" if self.version is not None else ""

    @property
    def promoted(self) -> bool:
        """Whether the gate made the version the champion, in this run or an earlier one."""
        return self.alias == registry.CHAMPION or self.verdict.startswith("promoted")

    @property
    def waits(self) -> bool:
        """Whether the gate let the version pass, and a person has to approve it."""
        checks = self.gate.get("checks") or ()
        if self.version is None or self.promoted:
            return False
        return bool(checks) and all(check["passed"] for check in checks)

    @property
    def decision(self) -> str:
        """The decision in a word or two, as a title."""
        if self.version is None:
            return english("Trial")
        if self.promoted:
            return english("Promoted")
        return english("Waiting for approval") if self.waits else english("Not promoted")

    @property
    def note(self) -> str:
        """One line for people."""
        if self.version is None:
            return self.verdict
        uri = self.uri
        if self.alias:
            uri = english("{uri} is @{alias}", uri=uri, alias=self.alias)
        return f"{uri}; {self.verdict}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a version.

    Attributes:
        fingerprint: digest of config, data, code and base model together.
        run_id: returns the id of the MLflow run to register from.
        tags: the single digests, and descriptive tags.
    """

    fingerprint: str
    run_id: Callable[[], str]
    tags: dict[str, str]


OnDecision = Callable[[RegistrationResult], None]


def register(
    config: Pipeline,
    workspace: Workspace,
    client: MlflowClient,
    evaluated: EvaluationResult,
    validated: ValidationResult,
    origin: Origin,
    *,
    on_decision: OnDecision = lambda _: None,
    trial: bool = False,
) -> RegistrationResult:
    """Register the evaluated model, unless its fingerprint is registered, and apply the gate.

    A ``trial`` registers nothing: the result has the decision that the gate would make.
    ``on_decision`` is called after the aliases have moved and before the verdict is written: if
    this run is killed in between, a later run calls it again.

    Raises:
        TrackingFailure: MLflow stayed out of reach.
        DataError: the data contract has not been checked for the rows of the model.
    """
    started = time.perf_counter()
    made = evaluated, validated, origin
    stage = _Registration(config, workspace, client, *made, on_decision, started)
    return patiently(
        stage.judge if trial else stage.run,
        _("register {model_name}", model_name=config.model_name),
    )


class State(Enum):
    """State of the version of a fingerprint, from its tags."""

    ABSENT = "no version"
    REGISTERED = "a version without a decision that holds today"
    DECIDED = "a decision, and perhaps not yet its alias"
    SETTLED = "a verdict: nothing is left to do"


@dataclass(frozen=True, slots=True)
class _Entry:
    """The state of a fingerprint in the registry, its version, and the champion.

    The record is the decision, in the states DECIDED and SETTLED.
    """

    state: State
    version: ModelVersion | None
    champion: ModelVersion | None
    record: Record | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person has made the version the champion before the gate decided."""
        return self.version is not None and _number(self.version) == _number(self.champion)

    @property
    def compared_with(self) -> ModelVersion | None:
        """The champion that the version has to be compared with."""
        undecided = self.state in (State.ABSENT, State.REGISTERED)
        return self.champion if undecided and not self.by_hand else None


@dataclass(frozen=True, slots=True)
class _Registration:
    """Takes the version of a fingerprint from the state that it is in to the last one.

    ::

        ABSENT ── create ──> REGISTERED ── decide ──> DECIDED ── carry out ──> SETTLED
                                  ^                      │
                                  └── another champion ──┘

    Each step ends with a tag of the version, and may be repeated: a run that is killed between two
    of them leaves a state that the next run goes on from. ``decide`` writes the decision down
    before an alias moves; ``carry out`` moves the aliases, and writes the verdict last.
    A decision holds as long as the champion is the one that it was made against.
    """

    config: Pipeline
    workspace: Workspace
    client: MlflowClient
    evaluated: EvaluationResult
    validated: ValidationResult
    origin: Origin
    on_decision: OnDecision
    started: float

    @property
    def name(self) -> str:
        """The registered model."""
        return self.config.model_name

    def run(self) -> RegistrationResult:
        """Compare with the champion, then take every step that is left, under the lease.

        The comparison takes long, and comes before the lease. If there is another champion by
        then, it is compared with that one too.
        """
        rules = _require_checks(self.evaluated.package)
        while True:
            seen = self._look().compared_with
            comparison = self._compare(seen) if seen is not None else None
            with registry.lease(self.workspace, self.name):
                entry = self._look()
                if _number(entry.compared_with) == _number(seen):
                    evidence = _evidence(self.evaluated, rules, _number(seen), comparison)
                    return self._advance(entry, evidence)

    def judge(self) -> RegistrationResult:
        """What the gate would decide; nothing is registered, and no alias moves."""
        champion = registry.champion(self.client, self.name)
        comparison = self._compare(champion) if champion is not None else None
        rules = _require_checks(self.evaluated.package)
        evidence = _evidence(self.evaluated, rules, _number(champion), comparison)
        decision = gate.decide(evidence, self.config.gate)
        verdict = english(
            "a trial, not registered; the gate says: {reason}", reason=decision.reason
        )
        record = decision.record(evidence) | {"verdict": verdict, "alias": None}
        seconds = time.perf_counter() - self.started
        return RegistrationResult(self.name, None, None, verdict, False, seconds, record)

    def _advance(self, entry: _Entry, evidence: Evidence) -> RegistrationResult:
        """Take the steps that are left."""
        version, record = entry.version, entry.record
        if version is None:
            version = self._create()
        elif record is None:
            self._complete(version)
        if record is None:
            record = self._decide(version, entry.by_hand, evidence)
        reused = entry.state is State.SETTLED
        registered = self._registered(version, record, reused)
        if not reused:
            self._carry_out(version, record, registered)
        return registered

    def _registered(
        self, version: ModelVersion, record: Record, reused: bool
    ) -> RegistrationResult:
        number, alias, verdict = int(version.version), record["alias"], record["verdict"]
        seconds = time.perf_counter() - self.started
        return RegistrationResult(self.name, number, alias, verdict, reused, seconds, record)

    def _look(self) -> _Entry:
        """Read the state from the registry."""
        champion = registry.champion(self.client, self.name)
        version = registry.find(self.client, self.name, self.origin.fingerprint)
        if version is None:
            return _Entry(State.ABSENT, None, champion)
        if registry.settled(version):
            return _Entry(State.SETTLED, version, champion, self._verdict(version))
        record = self._decision(version) if _holds(version, champion) else None
        state = State.REGISTERED if record is None else State.DECIDED
        return _Entry(state, version, champion, record)

    def _decision(self, version: ModelVersion) -> Record | None:
        """The decision of an earlier run."""
        record: Record | None = runs.read_artifact(
            self.client, self.workspace, str(version.run_id), lineage.GATE
        )
        return record

    def _verdict(self, version: ModelVersion) -> Record:
        """The decision of an earlier run, with the alias that the version has now."""
        known = registry.aliases(self.client, self.name)
        held = [a for a in registry.ROLES if known.get(a) == int(version.version)]
        now = {"verdict": version.tags[registry.VERDICT], "alias": held[0] if held else None}
        return (self._decision(version) or {}) | now

    def _compare(self, champion: ModelVersion) -> Comparison:
        tags = {**self.origin.tags, PROBLEM: _problem(self.evaluated)}
        made = self.config, self.workspace, self.evaluated, self.validated
        return compare(Challenger(*made), champion, tags)

    def _create(self) -> ModelVersion:
        run_id = self.origin.run_id()
        self._upload(run_id)
        tags = {
            **self.config.registry.tags,
            FINGERPRINT: self.origin.fingerprint,
            registry.PRIMARY_METRIC: self.evaluated.primary_metric,
            PROBLEM: _problem(self.evaluated),
            registry.TEST_ROWS: self._hashes().summary["test"],
            PACKAGE: packaging.package_digest(self.evaluated.package),
            **self.origin.tags,
        }
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
        return registry.create(self.client, self.name, source, run_id, tags)

    def _upload(self, run_id: str) -> None:
        scratch = self.workspace.scratch(f"register-{self.origin.fingerprint[:32]}")
        batch_size = self.config.evaluation.batch_size
        model = packaging.save(scratch / ARTIFACT, self.evaluated.package, batch_size)
        log_folder(self.client, run_id, model, ARTIFACT)
        shutil.rmtree(scratch)
        with transfer():
            for name in row_hashes.FILES:
                self.client.log_artifact(run_id, str(self._hashes().path / name))
        written = lineage.record(self.config, self.validated)
        self.client.log_dict(run_id, written, lineage.FILE)

    def _hashes(self) -> StoredOutput:
        return row_hashes.store(self.workspace, self.validated, self.config.application)

    def _complete(self, version: ModelVersion) -> None:
        """Make sure that a killed run's version holds the model that was evaluated now."""
        package = packaging.package_digest(self.evaluated.package)
        if version.tags.get(PACKAGE) != package:
            self._upload(str(version.run_id))
            self._tag(version, PACKAGE, package)

    def _decide(self, version: ModelVersion, by_hand: bool, evidence: Evidence) -> Record:
        """Apply the gate, and write the decision down."""
        decision = gate.decide(evidence, self.config.gate)
        if by_hand:
            decision = Decision("champion", english("promoted by hand before the gate had decided"))
        record = decision.record(evidence)
        self.client.log_dict(str(version.run_id), record, lineage.GATE)
        written = {"alias": record["alias"], "before": evidence.champion}
        self._tag(version, registry.DECISION, json.dumps(written))
        return record

    def _carry_out(
        self, version: ModelVersion, record: Record, registered: RegistrationResult
    ) -> None:
        """Move the aliases as decided, and write the verdict."""
        number, alias, verdict = int(version.version), registered.alias, registered.verdict
        if alias == registry.CHAMPION:
            champion = registry.aliases(self.client, self.name).get(registry.CHAMPION)
            before = _number_in(record) if champion == number else champion
            registry.make_champion(
                self.client, Move(self.name, number, before, "promoted", verdict)
            )
        elif alias:
            registry.set_alias(self.client, self.name, alias, number)
        self.on_decision(registered)
        self._tag(version, registry.VERDICT, verdict)

    def _tag(self, version: ModelVersion, key: str, value: str) -> None:
        self.client.set_model_version_tag(self.name, str(version.version), key, value)


def _require_checks(package: Path) -> int:
    """Refuse a model whose rows the contract has not checked; return how many rules ran."""
    try:
        report = read_json(package / "contract.json")
    except FileNotFoundError:
        report = {}
    ran = [rule for rule in report.get("rules", ()) if rule.get("looked_at")]
    if report.get("verdict") != "passed" or not ran:
        advice = _("run the pipeline from its validation stage: --fresh")
        message = _("the data contract has not been checked for the rows of this model")
        raise DataError(Problem("registration", message, advice))
    return len(ran)


def _number(version: ModelVersion | None) -> int | None:
    return None if version is None else int(version.version)


def _holds(version: ModelVersion, champion: ModelVersion | None) -> bool:
    """Whether the gate has decided about a version, against the champion of today."""
    if not (written := version.tags.get(registry.DECISION)):
        return False
    return _number(champion) in (json.loads(written)["before"], int(version.version))


def _number_in(record: Record) -> int | None:
    """The champion that a decision was made against."""
    reference = record.get("reference")
    return int(reference.rpartition("/")[2]) if reference else None


def _evidence(
    evaluated: EvaluationResult, rules: int, champion: int | None, comparison: Comparison | None
) -> Evidence:
    return Evidence(
        evaluated.primary_metric,
        evaluated.metrics,
        int(evaluated.metrics.get("rows", 0)),
        rules,
        evaluated.cost,
        champion,
        comparison,
        evaluated.baseline_gain,
        evaluated.baseline_name,
    )


def _problem(evaluated: EvaluationResult) -> str:
    """How rows are labelled and in which languages, in words."""
    settings = read_json(evaluated.package / "predictor.json")
    parts = [settings.get("labelling", ""), *settings.get("languages", ())]
    return " ".join(part for part in parts if part)
