"""The only training loop: plan, step, log, validate, checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from configs.files import PARTIAL
from tasks.metrics import better
from tasks.store import commit_folder
from tasks.trace import span
from tasks.training import batching, checkpoints, hardware, ranks
from tasks.training.checkpoints import Position
from tasks.training.events import EventLog
from tasks.training.job import BEST
from tasks.training.model import adapters
from tasks.training.session import Session
from tasks.training.step import optimizer_step, to_device

SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True, slots=True)
class SplitEvaluation:
    """The metrics of the model on a split, the mean loss among them, and what it has ``learned``.

    The latter are prediction settings chosen on the split, such as a threshold.
    """

    metrics: dict[str, float]
    learned: dict[str, Any]


def train(session: Session, events: EventLog) -> Position:
    """Run the remaining epochs, from the latest checkpoint if there is one."""
    found = checkpoints.latest(session.folder)
    position = checkpoints.restore(found, session.learner) if found else Position()
    if found or events.continued:
        events.append("resumed", step=position.step, epoch=position.epoch)
    saver = Saver(session, events)
    while position.epoch < session.training.epochs and not _stalled(session, position):
        position = _epoch(session, events, position, saver)
        position = _validate(session, events, position)
        if saver.due(position):
            saver.save(position)
    return position


@span("epoch")
def _epoch(session: Session, events: EventLog, position: Position, saver: Saver) -> Position:
    plan = session.plan(position.epoch)
    done = position.step - position.epoch * len(plan)
    for index in range(done, len(plan)):
        started = time.perf_counter()
        with span("step"):
            batches = [session.batch("train", rows) for rows in plan[index]]
            report = optimizer_step(session.learner, batches)
        position = replace(position, step=position.step + 1)
        epoch = position.epoch + (index + 1) / len(plan)
        seconds = time.perf_counter() - started
        events.append("step", step=position.step, epoch=epoch, **asdict(report), seconds=seconds)
        if index + 1 < len(plan) and saver.due(position):
            saver.save(position)
    return position


@span("validation pass")
def _validate(session: Session, events: EventLog, position: Position) -> Position:
    """Measure the validation split and keep the weights if they are the best so far."""
    started = time.perf_counter()
    ranks.require_same_weights(session.learner.accelerator, session.learner.model)
    measured = evaluate(session, "validation")
    position = replace(position, epoch=position.epoch + 1)
    primary_metric = session.job.primary_metric
    value = measured.metrics[primary_metric]
    improved = better(primary_metric, value, position.best)
    if improved:
        position = replace(position, best=value, best_epoch=position.epoch)
        if session.rank.first:
            _keep_best(session, position, measured.learned)
    seconds = time.perf_counter() - started
    events.append(
        "validation",
        step=position.step,
        epoch=position.epoch,
        metrics=measured.metrics,
        improved=improved,
        seconds=seconds,
    )
    return position


@torch.no_grad()
def evaluate(session: Session, split: str) -> SplitEvaluation:
    """Stream a tokenized split through the model, or its average, and score it."""
    learner, data = session.learner, session.splits[split]
    model, view = learner.result.eval(), session.view(split)
    scorer = session.application.scoring.extended_scorer(session.facts, session.job.extra_metrics)
    totals = torch.zeros(2, device=learner.accelerator.device)
    for rows in batching.by_length(data.lengths, session.job.evaluation_batch):
        batch = to_device(session.batch(split, rows), learner.accelerator)
        with learner.accelerator.autocast():
            outputs = learner.forward(model, batch)
            loss = learner.objective.total(outputs, batch)
            targets, predictions = session.application.learning.infer(model, outputs, batch, view)
        totals += torch.stack([loss.float(), learner.objective.weight(batch)])
        scorer.update(targets, predictions)
    total, weight = totals.tolist()
    return SplitEvaluation(scorer.metrics() | {"loss": total / weight}, scorer.learned())


def _stalled(session: Session, position: Position) -> bool:
    patience = session.training.early_stopping_patience
    if patience is None or position.best_epoch is None:
        return False
    return position.epoch - position.best_epoch >= patience


@span("save best model")
def _keep_best(session: Session, position: Position, learned: dict[str, Any]) -> None:
    """Save the model folder that the registered model will hold, adapters merged."""
    final = session.folder / BEST
    partial = session.folder / (BEST + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    model: Any = adapters.merged(session.learner.result)
    model.save_pretrained(partial)
    session.save_tokenizers(partial)
    record = {
        "epoch": position.epoch,
        "step": position.step,
        session.job.primary_metric: position.best,
    }
    (partial / "best.json").write_text(json.dumps(record | {"learned": learned}), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    commit_folder(partial, final)


class Saver:
    """Writes checkpoints when they are due: every ``save_steps`` steps, or about once a minute."""

    def __init__(self, session: Session, events: EventLog) -> None:
        self.session = session
        self.events = events
        self._last = time.monotonic()

    def due(self, position: Position) -> bool:
        """Whether to write one after this step; only the first rank writes."""
        if not self.session.rank.first:
            return False
        every = self.session.training.save_steps
        if every is not None:
            return position.step % every == 0
        return time.monotonic() - self._last > SECONDS_BETWEEN_CHECKPOINTS

    def save(self, position: Position) -> Path:
        """Force the event log to the disk, then write a checkpoint."""
        self.events.sync()
        path = checkpoints.save(self.session.folder, self.session.learner, position)
        self._last = time.monotonic()
        return path


def summary(session: Session, position: Position, seconds: float) -> dict[str, object]:
    """The figures of a finished run."""
    device = session.learner.accelerator.device
    return {
        "steps": position.step,
        "epochs": position.epoch,
        "best_epoch": position.best_epoch,
        "best": position.best,
        "seconds": seconds,
        "peak_memory": hardware.peak_memory(device),
        "device": str(device),
        "precision": session.precision,
    }
