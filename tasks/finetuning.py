"""Stage 3, fine-tuning: start the worker, watch its event log, keep the best weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from configs.language import english
from configs.schema import Model, Pipeline
from tasks import metrics
from tasks.applications import registry as applications
from tasks.applications.shared.losses import LOSSES
from tasks.progress import Progress, announce
from tasks.store import StoredResult, read_json
from tasks.tokenization import TokenizationResult
from tasks.training import energy, events
from tasks.training.events import Record
from tasks.training.job import BEST, PREFLIGHT, Job
from tasks.training.launchers import LAUNCHERS, run
from tasks.training.model.initial_model import InitialModel
from tasks.training.optimization.optimizers import OPTIMIZERS
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

VERSION = 3
MODEL = "model"
WEIGHTS = f"{MODEL}/"
Watch = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class FinetuningResult(StoredResult):
    """The result of the stage.

    Attributes:
        stored: the output folder: ``model/`` and ``events.jsonl``.
        model: digest of the weights, configuration and tokenizer.
        summary: steps, seconds, best epoch, peak memory, energy if that was measured.
    """

    model: str
    summary: Record

    @property
    def learned(self) -> Record:
        """Settings chosen on the validation rows, such as a threshold."""
        learned: Record = read_json(self.stored.path / MODEL / "best.json").get("learned", {})
        return learned

    @property
    def note(self) -> str:
        """A summary in one line."""
        s = self.summary
        steps = english("{steps:,} steps in {seconds:.1f} s on {device} ({precision})", **s)
        best = english("best epoch {best_epoch} of {epochs}", **s)
        return f"{steps}; {best}"


def primary_metric_of(config: Pipeline) -> str:
    """The declared primary metric, or the application's own."""
    scoring = applications.get(config.application).scoring
    return config.evaluation.primary_metric or scoring.primary_metric(config.data)


def extra_metrics(config: Pipeline) -> list[str]:
    """Names of the metrics of installed packages that the settings name."""
    own = {
        metric.name for metric in applications.get(config.application).scoring.metrics(config.data)
    }
    named = {primary_metric_of(config), *config.evaluation.extra_metrics, *config.gate.thresholds}
    return sorted(named - own)


def _validation_metrics(config: Pipeline) -> list[str]:
    """Those of them that the training needs."""
    return [name for name in extra_metrics(config) if name == primary_metric_of(config)]


def extension_digests(config: Pipeline) -> list[str]:
    """Code digests of the loss and the optimizer, as far as installed packages provide them."""
    found = (
        LOSSES.code_digest(config.training.loss.name),
        OPTIMIZERS.code_digest(config.training.optimizer.name),
    )
    return [*filter(None, found), *metrics.code_digests(_validation_metrics(config))]


def key_inputs(config: Pipeline, tokenized: TokenizationResult, base: InitialModel) -> Record:
    """Everything that the trained weights depend on."""
    application = applications.get(config.application)
    ignored = {"save_steps"}
    return {
        "version": VERSION,
        "application": [application.name, application.version],
        "tokens": tokenized.stored.digest,
        "base": base.digest,
        "model": config.model.model_dump(mode="json", exclude={"base", "revision"}),
        "facts": tokenized.facts.record(),
        "training": config.training.model_dump(mode="json", exclude=ignored),
        "code": extension_digests(config),
        "seed": config.seed,
        "headline": primary_metric_of(config),
        "device": config.compute.device,
    }


def finetune(
    config: Pipeline,
    workspace: Workspace,
    validated: ValidationResult,
    tokenized: TokenizationResult,
    base: InitialModel,
    watch: Watch | None = None,
) -> FinetuningResult:
    """Fine-tune the base model, or resume where a killed run stopped.

    ``watch`` is called with the folder of the event log before the worker starts.

    Raises:
        WorkerFailure: the training process died, raised or ran out of time.
    """
    job = make_job("train", config, validated, tokenized)

    def build(folder: Path) -> Record:
        if watch:
            watch(folder)
        return _build(folder, job, config)

    stored = workspace.store.produce(
        "finetuning",
        key_inputs(config, tokenized, base),
        build,
        fresh=workspace.fresh,
        resumable=not workspace.fresh,
        pure=(WEIGHTS,),
    )
    return FinetuningResult(stored, stored.content(WEIGHTS), stored.summary)


def make_job(
    mode: Literal["train", "preflight"],
    config: Pipeline,
    validated: ValidationResult,
    tokenized: TokenizationResult,
) -> Job:
    """Describe the training to a worker."""
    application = applications.get(config.application)
    served = application.serving.configure(tokenized.facts, config)
    return Job(
        mode=mode,
        application=config.application,
        facts=tokenized.facts.record(),
        rows=str(validated.stored.path),
        tokens=str(tokenized.stored.path),
        spec=tokenized.spec,
        model=Model.model_validate(config.model.model_dump(include=set(Model.model_fields))),
        training=config.training,
        seed=config.seed,
        primary_metric=primary_metric_of(config),
        extra_metrics=_validation_metrics(config),
        device=config.compute.device,
        threads=config.compute.threads,
        evaluation_batch=config.evaluation.batch_size,
        beams=served.record().get("num_beams", 1),
        energy=config.compute.energy,
    )


def _build(folder: Path, job: Job, config: Pipeline) -> Record:
    compute = config.compute
    if not _finished(folder):
        job.write(folder)
        seconds = None if compute.timeout_minutes is None else compute.timeout_minutes * 60
        run(LAUNCHERS.load(compute.launcher)(), folder, _announce, seconds)
    records = events.history(folder)
    _tidy(folder)
    by_kind: dict[str, Any] = {record["kind"]: record for record in records}
    done = by_kind["done"]
    steps = [record for record in records if record["kind"] == "step"]
    used = energy.total(records)
    return {
        **{k: v for k, v in done.items() if k not in {"kind", "time"}},
        "step_seconds": sum(record["seconds"] for record in steps),
        "samples": sum(record["samples"] for record in steps),
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "forecast": {
            k: v for k, v in by_kind.get("forecast", {}).items() if k not in {"kind", "time"}
        },
        "setup_seconds": by_kind["started"]["setup_seconds"],
        **({"energy": used} if used else {}),
    }


def _finished(folder: Path) -> bool:
    records = events.history(folder)
    weights = (folder / BEST).exists() or (folder / MODEL).exists()
    return bool(records) and records[-1]["kind"] == "done" and weights


def _announce(record: Record) -> None:
    announce(Progress(record["kind"], record))


def _tidy(folder: Path) -> None:
    """Keep the best weights and the event log; delete what only resuming needs."""
    for name in ("checkpoints", "best.partial"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("worker.log", "worker.lock"):
        (folder / name).unlink(missing_ok=True)
    if (folder / BEST).exists():
        (folder / BEST).rename(folder / MODEL)


def preflight(
    config: Pipeline,
    workspace: Workspace,
    validated: ValidationResult,
    tokenized: TokenizationResult,
    base: InitialModel,
) -> Record:
    """Take exactly one optimizer step on the longest batch and report on it.

    Raises:
        WorkerFailure: the training process died, raised or ran out of time.
    """
    inputs = key_inputs(config, tokenized, base)
    job = make_job("preflight", config, validated, tokenized)

    def build(folder: Path) -> Record:
        job.write(folder)
        run(LAUNCHERS.load(config.compute.launcher)(), folder, _announce)
        report: Record = read_json(folder / PREFLIGHT)
        (folder / "worker.lock").unlink(missing_ok=True)
        return report

    return workspace.store.produce("preflight", inputs, build, fresh=True).summary
