"""One execution of a pipeline: what its stages share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.reading import load
from configs.schema import Data, Pipeline
from flows.run import events
from flows.run.drift import against_champion, publish, require_none
from flows.run.fingerprint import descriptive_tags, fingerprint
from flows.run.tracker import Tracker
from flows.servers import outbox
from flows.servers.leases import shared
from tasks.claims import Claim, claimed
from tasks.contract.report.record import Report
from tasks.contract.rules.cells import APPLICATION_RULES
from tasks.contract.sources import frames
from tasks.evaluation import Evaluated
from tasks.finetuning import Tuned
from tasks.progress import Notice, StageFinished, announce
from tasks.registration import Origin, Registered
from tasks.tokenization import Tokenized
from tasks.training.launchers import CPU_SETTINGS
from tasks.training.model import base_model, families
from tasks.validation import Validated
from tasks.workspace import Workspace

QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}


SPECIAL = frozenset(
    {"answering", "generation", "language.target", "model.long_inputs", "model.max_target_length"}
) | {f"contract.rules.{rule}" for rule in APPLICATION_RULES}
"""Settings that not every application has a use for."""
PLAIN = Pipeline.model_construct(name="plain", application="topics", data=Data.model_construct())


class Run:
    """Config, inputs and tracking of one execution.

    Args:
        config: the pipeline.
        workspace: where it writes.
        claim: names what it has under way.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """

    def __init__(self, config: Pipeline, workspace: Workspace, claim: Claim) -> None:
        self.config = config
        self.workspace = workspace
        self.sources = frames.locate(config.data)
        self.base = base_model.resolve(config.model, config.application)
        self.fingerprint, self.digests = fingerprint(config, self.sources, self.base)
        tags = self.digests | descriptive_tags(config, self.base)
        self.tracker = Tracker(workspace, config, self.fingerprint, tags, claim)
        self.origin = Origin(self.fingerprint, self.tracker.run_id, tags)
        self.contract: Report = {}
        self.stages: list[StageFinished] = []

    @property
    def report(self) -> Path:
        """Where the page about the run is."""
        return self.workspace.root / "reports" / f"{self.config.name}.run.html"

    def hold_against_champion(self, validated: Validated) -> Report:
        """Measure drift, and publish the contract's report with it.

        Raises:
            DataError: the data drifted, and the contract refuses that.
        """
        client = self.tracker.client
        drifted = against_champion(self.config, self.workspace, client, validated)
        report = publish(self.config, self.workspace, validated, drifted)
        if drifted and drifted.found:
            announce(Notice(drifted.note))
            events.drifted(self.config.name, drifted, self.tracker.url())
        self.contract = report
        self.tracker.log_contract(validated, report, self.sources)
        require_none(self.config, drifted)
        return report


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a finished run is reported from."""

    validated: Validated
    tokenized: Tokenized
    tuned: Tuned
    evaluated: Evaluated
    registered: Registered
    run_url: str
    report: Path

    @property
    def promoted(self) -> bool:
        """Whether the gate made the version the champion, in this run or an earlier one."""
        return self.registered.promoted

    @property
    def waits(self) -> bool:
        """Whether the gate let the version pass, and a person has to approve it."""
        return self.registered.waits

    def record(self) -> dict[str, Any]:
        """As JSON values, for ``onestep run --json``."""
        stages = {
            "validation": self.validated.stored.reused,
            "tokenization": self.tokenized.stored.reused,
            "finetuning": self.tuned.stored.reused,
            "evaluation": self.evaluated.stored.reused,
            "registration": self.registered.reused,
        }
        return {
            "model": self.registered.name,
            "version": self.registered.version,
            "uri": self.registered.uri,
            "alias": self.registered.alias,
            "verdict": self.registered.verdict,
            "gate": self.registered.gate,
            "headline": self.evaluated.headline,
            "interval": list(self.evaluated.interval),
            "metrics": self.evaluated.metrics,
            "baseline": {"name": self.evaluated.baseline_name} | self.evaluated.baseline,
            "rows": self.validated.rows,
            "quarantined": self.validated.quarantined,
            "training": self.tuned.summary,
            "reused": stages,
            "mlflow_run": self.run_url,
            "report": str(self.report),
        }


def read(file: Path, overrides: Sequence[str]) -> Pipeline:
    """Read a pipeline file with every check that needs no data."""
    return load(file, overrides, checks=[families.check, _metric_names, _settings])


def require_inputs(config: Pipeline) -> None:
    """Fail at once, before any server starts, if a file or the base model is missing.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """
    if config.data.dataset is None:
        frames.locate(config.data)
    base_model.resolve(config.model, config.application)


def _metric_names(config: Pipeline) -> Iterator[tuple[str, str]]:
    from tasks.applications import base as applications

    known = applications.get(config.application).metrics(config.data)
    named = [("evaluation.headline", config.evaluation.headline)]
    named += [(f"gate.floors.{name}", name) for name in config.gate.floors]
    for where, name in named:
        if name is not None and name not in known:
            yield (
                where,
                f"expected a metric of {config.application} ({', '.join(known)}), found {name!r}",
            )


def _settings(config: Pipeline) -> Iterator[tuple[str, str]]:
    """What an application cannot do with a setting, and settings that exclude each other."""
    from tasks.applications import base as applications

    training, application = config.training, applications.get(config.application)
    yield from application.check(config)
    for where in SPECIAL - application.uses:
        declared, usual = _at(config, where), _at(PLAIN, where)
        if declared not in (usual, None):
            yield where, f"{application.name} has no use for it; leave it out"
    if training.loss.name == "focal" and training.loss.label_smoothing:
        yield "training.loss.label_smoothing", "`focal` has no smoothing: set it to 0"
    if config.schedule.when == "drift" and config.contract.drift.severity == "refuse":
        yield "schedule.when", "`drift` waits for what `contract.drift.severity` refuses"
    if config.model.scratch and training.adapter.name != "none":
        yield "training.adapter", "an adapter needs pretrained weights, and `scratch` has none"
    if config.model.scratch and training.frozen_layers:
        yield "training.frozen_layers", "frozen random weights learn nothing: set it to 0"


def _at(config: Pipeline, where: str) -> Any:
    value: Any = config
    for name in where.split("."):
        value = getattr(value, name)
    return value


def quiet() -> None:
    """Keep libraries from drawing bars and printing hints, and threads from spinning.

    What the user set stays.
    """
    for name, value in (QUIET | CPU_SETTINGS).items():
        os.environ.setdefault(name, value)


@contextmanager
def opened(file: str, overrides: Sequence[str], fresh: bool) -> Iterator[Run]:
    """Prepare a run, and record in MLflow how it ended."""
    quiet()
    workspace = shared(Workspace.open(fresh=fresh))
    with claimed_flow(workspace) as claim:
        run = Run(read(Path(file), overrides), workspace, claim)
        workspace.store.sweep()
        outbox.deliver(workspace)
        try:
            yield run
        except Exception:
            run.tracker.end("FAILED")
            raise
        except BaseException:
            run.tracker.end("KILLED")
            raise
        run.tracker.end("FINISHED")


@contextmanager
def claimed_flow(workspace: Workspace) -> Iterator[Claim]:
    """Hold a claim that names the Prefect run around it."""
    from prefect.runtime import flow_run

    with claimed(workspace.locks) as claim:
        if flow_run.id is not None:
            claim.note("flow_run", id=str(flow_run.id))
        yield claim
