"""The only training loop: plan, step, log, validate, checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from tasks.metrics import better
from tasks.store import PARTIAL, commit_folder
from tasks.training import batching, checkpoints, hardware
from tasks.training.checkpoints import Position
from tasks.training.events import EventLog
from tasks.training.job import BEST
from tasks.training.session import Session
from tasks.training.step import StepReport, optimizer_step, to_device

SECONDS_BETWEEN_CHECKPOINTS = 60.0


def train(session: Session, events: EventLog) -> Position:
    """Run the epochs that are left, from the latest checkpoint if there is one."""
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


def _epoch(session: Session, events: EventLog, position: Position, saver: Saver) -> Position:
    plan = session.plan(position.epoch)
    done = position.step - position.epoch * len(plan)
    for index in range(done, len(plan)):
        started = time.perf_counter()
        batches = [session.batch("train", rows) for rows in plan[index]]
        report = optimizer_step(session.learner, batches)
        position = replace(position, step=position.step + 1)
        epoch = position.epoch + (index + 1) / len(plan)
        _log_step(events, position.step, epoch, report, time.perf_counter() - started)
        if index + 1 < len(plan) and saver.due(position):
            saver.save(position)
    return position


def _log_step(
    events: EventLog, step: int, epoch: float, report: StepReport, seconds: float
) -> None:
    events.append("step", step=step, epoch=epoch, **asdict(report), seconds=seconds)


def _validate(session: Session, events: EventLog, position: Position) -> Position:
    """Measure the validation split and keep the weights if they are the best so far."""
    started = time.perf_counter()
    metrics = evaluate(session, "validation")
    position = replace(position, epoch=position.epoch + 1)
    headline = session.job.headline
    value = metrics[headline]
    improved = better(headline, value, position.best)
    if improved:
        position = replace(position, best=value, best_epoch=position.epoch)
        _keep_best(session, position)
    seconds = time.perf_counter() - started
    events.append(
        "validation",
        step=position.step,
        epoch=position.epoch,
        metrics=metrics,
        improved=improved,
        seconds=seconds,
    )
    return position


@torch.no_grad()
def evaluate(session: Session, split: str) -> dict[str, float]:
    """Stream a tokenized split through the model and score it, and its mean loss."""
    learner, data = session.learner, session.splits[split]
    learner.model.eval()
    scorer = session.application.scorer(session.facts)
    totals = torch.zeros(2, device=learner.accelerator.device)
    for rows in batching.by_length(data.lengths, session.job.evaluation_batch):
        batch = to_device(session.batch(split, rows), learner.accelerator)
        with learner.accelerator.autocast():
            outputs = learner.forward(learner.model, batch)
            loss = learner.objective.total(outputs, batch)
            targets, predictions = session.application.infer(learner.model, outputs, batch)
        totals += torch.stack([loss.float(), learner.objective.weight(batch)])
        scorer.update(targets, predictions)
    total, weight = totals.tolist()
    return scorer.metrics() | {"loss": total / weight}


def _stalled(session: Session, position: Position) -> bool:
    patience = session.training.early_stopping
    if patience is None or position.best_epoch is None:
        return False
    return position.epoch - position.best_epoch >= patience


def _keep_best(session: Session, position: Position) -> None:
    """Save the model folder that the registered model will hold."""
    final = session.folder / BEST
    partial = session.folder / (BEST + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    model = session.learner.accelerator.unwrap_model(session.learner.model)
    model.save_pretrained(partial)
    session.tokenizer.save_pretrained(partial)
    record = {"epoch": position.epoch, "step": position.step, session.job.headline: position.best}
    (partial / "best.json").write_text(json.dumps(record), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    commit_folder(partial, final)


class Saver:
    """Writes checkpoints when they are due: every so many steps, or about once a minute."""

    def __init__(self, session: Session, events: EventLog) -> None:
        self.session = session
        self.events = events
        self._last = time.monotonic()

    def due(self, position: Position) -> bool:
        """Whether to write one after this step."""
        every = self.session.training.checkpoint_steps
        if every is not None:
            return position.step % every == 0
        return time.monotonic() - self._last > SECONDS_BETWEEN_CHECKPOINTS

    def save(self, position: Position) -> Path:
        """Write a checkpoint; the event log reaches the disk first."""
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
