"""A training process: reads ``job.json``, appends to ``events.jsonl`` until done or failed.

It imports neither Prefect nor MLflow, and dies with whoever started it: standard input is a
lifeline that closes when the parent is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path

from tasks.store import lock, write_json
from tasks.training.events import EventLog
from tasks.training.job import PREFLIGHT, Job

LOCK = "worker.lock"


def main(folder: Path) -> int:
    """Run the job of a folder; 0 when it is done, 1 after an error that the log names."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with lock(folder / LOCK), EventLog(folder) as events:
        try:
            _work(folder, events)
        except Exception as error:
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            problems = getattr(error, "problems", ())
            events.append(
                "error",
                message=message,
                problems=[[p.where, p.what, p.advice] for p in problems],
                traceback=traceback.format_exc(),
            )
            return 1
    return 0


def _die_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _work(folder: Path, events: EventLog) -> None:
    started = time.perf_counter()
    _quiet()
    from tasks.training import checkpoints, energy, forecast, loop, preflight, session

    job = Job.read(folder)
    current = session.build(job, folder)
    setup = time.perf_counter() - started
    if job.mode == "preflight":
        write_json(folder / PREFLIGHT, preflight.inspect(current) | {"setup_seconds": setup})
        events.append("done")
        return
    device, meter = current.learner.accelerator.device, energy.Meter(events)
    if job.energy:
        meter.prepare(folder, device)
    if checkpoints.latest(folder) is None:
        events.append("forecast", **forecast.measure(current).record())
    events.append(
        "started",
        total_steps=current.total_steps,
        epochs=current.training.epochs,
        device=str(device),
        precision=current.precision,
        parameters=sum(p.numel() for p in current.learner.model.parameters()),
        setup_seconds=setup,
        energy=meter.how,
    )
    with meter:
        began = time.perf_counter()
        position = loop.train(current, events)
        seconds = time.perf_counter() - began
    if position.best_epoch is None:
        raise FloatingPointError(f"no epoch gave a finite {job.headline} on the validation split")
    events.append("done", **loop.summary(current, position, seconds))
    events.sync()


def _quiet() -> None:
    """Keep libraries from drawing bars into the log and from asking the network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
