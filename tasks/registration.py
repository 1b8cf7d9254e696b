"""Stage 5, registration: exactly one version per fingerprint, then the gate and the alias."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import DataError
from configs.language import _, english
from configs.schema import Pipeline
from tasks.champion import gate
from tasks.champion.checks import Evidence
from tasks.champion.comparison import PROBLEM, Challenger, compare
from tasks.champion.gate import Decision
from tasks.champion.paired import Comparison
from tasks.evaluation import EvaluationResult
from tasks.store import read_json
from tasks.trace import span
from tasks.tracking import lineage, registry
from tasks.tracking.client import patiently
from tasks.tracking.entry import Entry, Record, look, number_of
from tasks.tracking.registry import Move
from tasks.tracking.upload import Upload
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


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


@dataclass(frozen=True, slots=True)
class _Registration:
    """Takes the version of a fingerprint from the state that it is in to the last one.

    ::

        absent ── create ──> registered ── decide ──> decided ── carry out ──> settled
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
            evidence = self._evidence(rules, seen)
            with registry.lease(self.workspace, self.name):
                entry = self._look()
                if number_of(entry.compared_with) == evidence.champion:
                    return self._advance(entry, evidence)

    def judge(self) -> RegistrationResult:
        """What the gate would decide; nothing is registered, and no alias moves."""
        champion = registry.champion(self.client, self.name)
        evidence = self._evidence(_require_checks(self.evaluated.package), champion)
        decision = gate.decide(evidence, self.config.gate)
        verdict = english(
            "a trial, not registered; the gate says: {reason}", reason=decision.reason
        )
        record = decision.record(evidence) | {"verdict": verdict, "alias": None}
        return self._result(None, record, reused=False)

    @span("register and decide")
    def _advance(self, entry: Entry, evidence: Evidence) -> RegistrationResult:
        """Take the steps that are left."""
        version, record = entry.version, entry.record
        if version is None:
            version = self._upload.create(self.origin.run_id(), self.origin.tags)
        elif record is None:
            self._upload.complete(version)
        if record is None:
            record = self._decide(version, entry.by_hand, evidence)
        result = self._result(int(version.version), record, entry.settled)
        if not entry.settled:
            self._carry_out(version, record, result)
        return result

    def _result(self, number: int | None, record: Record, reused: bool) -> RegistrationResult:
        alias, verdict = record["alias"], record["verdict"]
        seconds = time.perf_counter() - self.started
        return RegistrationResult(self.name, number, alias, verdict, reused, seconds, record)

    def _look(self) -> Entry:
        return look(self.client, self.workspace, self.name, self.origin.fingerprint)

    def _evidence(self, rules: int, champion: ModelVersion | None) -> Evidence:
        evaluated = self.evaluated
        return Evidence(
            evaluated.primary_metric,
            evaluated.metrics,
            int(evaluated.metrics.get("rows", 0)),
            rules,
            evaluated.cost,
            number_of(champion),
            None if champion is None else self._compare(champion),
            evaluated.baseline_gain,
            evaluated.baseline_name,
        )

    @span("compare with champion")
    def _compare(self, champion: ModelVersion) -> Comparison:
        tags = {**self.origin.tags, PROBLEM: self._upload.problem}
        made = self.config, self.workspace, self.evaluated, self.validated
        return compare(Challenger(*made), champion, tags)

    @property
    def _upload(self) -> Upload:
        made = self.config, self.workspace, self.client, self.evaluated, self.validated
        return Upload(*made, self.origin.fingerprint)

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

    def _carry_out(self, version: ModelVersion, record: Record, result: RegistrationResult) -> None:
        """Move the aliases as decided, and write the verdict."""
        number, alias, verdict = int(version.version), result.alias, result.verdict
        if alias == registry.CHAMPION:
            champion = registry.aliases(self.client, self.name).get(registry.CHAMPION)
            before = _number_in(record) if champion == number else champion
            registry.make_champion(
                self.client, Move(self.name, number, before, "promoted", verdict)
            )
        elif alias:
            registry.set_alias(self.client, self.name, alias, number)
        self.on_decision(result)
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
        raise DataError.at("registration", message, advice)
    return len(ran)


def _number_in(record: Record) -> int | None:
    """The champion that a decision was made against."""
    reference = record.get("reference")
    return int(reference.rpartition("/")[2]) if reference else None
