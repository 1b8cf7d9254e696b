"""A training process: reads ``job.json``, appends to ``events.jsonl`` until done or failed.

It imports neither Prefect nor MLflow, and ends with the process that started it. A job may have
several workers, each with ``RANK`` and ``WORLD_SIZE`` in its environment; the first one writes.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.processes import children
from tasks.store import lock, write_json
from tasks.training import ranks
from tasks.training.events import EventLog, NullLog
from tasks.training.job import PREFLIGHT, Job
from tasks.training.ranks import ALONE, Rank

if TYPE_CHECKING:
    from tasks.training.session import Session

LOCK = "worker.lock"


def run(folder: Path) -> None:
    """Run the job of a folder, and exit: with 0 when it is done, 1 after an error, which is logged.

    Raises:
        SystemExit: always.
    """
    sys.exit(main(folder))


def main(folder: Path) -> int:
    """Run the job of a folder; return 0 when it is done, 1 after an error, which is logged."""
    rank = Rank.read()
    with _event_log(folder, rank) as events:
        try:
            with ranks.leave_process_group():
                _work(folder, events, rank)
        except Exception as error:
            _log_error(events, error)
            if not rank.first:
                traceback.print_exc()
            return 1
    return 0


@contextmanager
def _event_log(folder: Path, rank: Rank) -> Iterator[EventLog]:
    """The log of the job, locked by one worker at a time; other ranks log nothing."""
    if rank.first:
        with lock(folder / LOCK), EventLog(folder) as events:
            yield events
    else:
        with NullLog() as events:
            yield events


def _log_error(events: EventLog, error: Exception) -> None:
    message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    problems = getattr(error, "problems", ())
    events.append(
        "error",
        message=message,
        problems=[[p.where, p.what, p.advice] for p in problems],
        traceback=traceback.format_exc(),
    )


def _work(folder: Path, events: EventLog, rank: Rank = ALONE) -> None:
    started = time.perf_counter()
    with children.no_collection():
        _quiet()
        from tasks.training import preflight, session

        job = Job.read(folder)
        current = session.build(job, folder, rank)
    setup = time.perf_counter() - started
    if job.mode == "train":
        _train(current, events, setup)
        return
    report = preflight.inspect(current) | {"setup_seconds": setup}
    if rank.first:
        write_json(folder / PREFLIGHT, report)
    events.append("done")


def _train(session: Session, events: EventLog, setup: float) -> None:
    from tasks.training import checkpoints, energy, forecast, loop

    job, device = session.job, session.learner.accelerator.device
    meter = energy.Meter(events)
    if job.energy and session.rank.first:
        meter.prepare(session.folder, device)
    if checkpoints.latest(session.folder) is None:
        events.append("forecast", **asdict(forecast.measure(session)))
    events.append(
        "started",
        total_steps=session.total_steps,
        epochs=session.training.epochs,
        device=str(device),
        precision=session.precision,
        world_size=session.rank.world_size,
        parameters=sum(p.numel() for p in session.learner.model.parameters()),
        setup_seconds=setup,
        energy=meter.how,
    )
    with meter:
        began = time.perf_counter()
        position = loop.train(session, events)
        seconds = time.perf_counter() - began
    if position.best_epoch is None:
        raise FloatingPointError(
            f"no epoch gave a finite {job.primary_metric} on the validation split"
        )
    events.append("done", **loop.summary(session, position, seconds))
    events.sync()


def _quiet() -> None:
    """Turn off progress bars and network access in libraries."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    children.end_with_parent()
    run(Path(sys.argv[1]))
