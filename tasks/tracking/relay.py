"""Send the event log of a training process to MLflow without slowing the training.

The relay is a thread of the parent. A server that is slow or down only makes it wait: the log is
on disk, and sending continues after the last step that the server has, in this run or a later one.
If several processes train the same run, one of them sends and the others wait for its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import TrackingFailure
from configs.language import _
from tasks.tracking.client import transient
from tasks.tracking.step_sender import StepSender
from tasks.training.events import FILE, Record, Tail

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

METRICS_PER_CALL = 1000
PAUSE_SECONDS = 1.0
LONGEST_PAUSE = 15.0
OTHER_SECONDS = 10.0
"""How long the end of a training waits for the steps that another process sends."""
STEP_METRICS = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
    "seconds": "train/step_seconds",
    "tokens": "train/tokens",
}
MARKER = "train/loss"
VALIDATION_MARKER = "validation/loss"


class Relay:
    """Sends the events of one folder to one MLflow run.

    Args:
        run_id: returns the run's id, opens the run if needed; may raise while the server is down.
        folder: with ``events.jsonl``.
        writer: the right to send, which one relay per run holds.
        on_trouble: called once when the server stops answering.

    Attributes:
        error: the error that ended it, if the server refused something.
        waiting: whether another process sends the steps of the run.
    """

    def __init__(
        self,
        client: MlflowClient,
        run_id: Callable[[], str],
        folder: Path,
        writer: StepSender,
        on_trouble: Callable[[str], None],
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.tail = Tail(folder)
        self.writer = writer
        self.on_trouble = on_trouble
        self.error: Exception | None = None
        self.waiting = False
        self._pending: list[Metric] = []
        self._sent: dict[str, int] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="relay", daemon=True)

    def start(self) -> Relay:
        """Start in the background."""
        self._thread.start()
        return self

    def follow(self, folder: Path) -> None:
        """Continue reading in the folder's new location."""
        self.tail.path = folder / FILE

    def sends(self) -> bool:
        """Whether this process is the one that writes to the run."""
        return self.writer.holds

    def close(self, seconds: float) -> bool:
        """Send the rest within ``seconds``; return whether everything arrived.

        The wait for steps that another process sends is short.
        """
        self._ending.set()
        first = min(seconds, OTHER_SECONDS)
        self._thread.join(first)
        if not self.waiting:
            self._thread.join(seconds - first)
        return not self._thread.is_alive() and self.error is None

    def _work(self) -> None:
        try:
            self._work_until_sent()
        finally:
            # If this fails, the right expires.
            with suppress(Exception):
                self.writer.release()

    def _work_until_sent(self) -> None:
        pause, told = PAUSE_SECONDS, False
        while True:
            ending = self._ending.is_set()
            try:
                complete = self._send()
            except Exception as error:
                if not transient(error):
                    self.error = error
                    return
                if not told:
                    self.on_trouble(_("{error}; training goes on", error=_describe(error)))
                told, pause = True, min(pause * 2, LONGEST_PAUSE)
            else:
                if complete and ending:
                    return
                waits = self.waiting and ending
                pause = min(pause * 2, self.writer.beat) if waits else PAUSE_SECONDS
            if ending:
                time.sleep(pause)
            else:
                self._ending.wait(self.writer.beat if self.waiting else pause)

    def _send(self) -> bool:
        """Send new events if this relay may; return whether the server has everything."""
        run_id = self.run_id()
        if not self.writer.keep(run_id):
            self._sent = None
            self.waiting = not self.writer.take(run_id)
        if self.waiting and not self._ending.is_set():
            return False
        self._read()
        sent, self._sent = self._sent or self._last_steps(run_id), None
        self._pending = [m for m in self._pending if m.step > sent[_marker(m)]]
        if self.waiting:
            return not self._pending
        for batch in _batches(self._pending):
            if not self.writer.keep(run_id):
                return False
            self.client.log_batch(run_id, metrics=batch)
        for metric in self._pending:
            sent[_marker(metric)] = max(sent[_marker(metric)], metric.step)
        self._sent, self._pending = sent, []
        return True

    def _read(self) -> None:
        for record in self.tail.read():
            if record["kind"] == "resumed":
                self._pending = [m for m in self._pending if m.step <= record["step"]]
            self._pending += _metrics(record)

    def _last_steps(self, run_id: str) -> dict[str, int]:
        """The last step of each kind that the server has; asked again after every failure."""
        known = {}
        for marker in (MARKER, VALIDATION_MARKER):
            history = self.client.get_metric_history(run_id, marker)
            known[marker] = max((metric.step for metric in history), default=-1)
        return known


def _marker(metric: Metric) -> str:
    return VALIDATION_MARKER if metric.key.startswith("validation/") else MARKER


def _batches(metrics: list[Metric]) -> Iterator[list[Metric]]:
    """Batches of complete steps, so that no step is sent in part."""
    batch: list[Metric] = []
    for metric in metrics:
        if len(batch) >= METRICS_PER_CALL - 50 and metric.step != batch[-1].step:
            yield batch
            batch = []
        batch.append(metric)
    if batch:
        yield batch


def _metrics(record: Record) -> list[Metric]:
    from mlflow.entities import Metric

    if record["kind"] == "step":
        values = {name: record[key] for key, name in STEP_METRICS.items()}
    elif record["kind"] == "validation":
        values = {f"validation/{name}": value for name, value in record["metrics"].items()}
    else:
        return []
    time_ms = int(record["time"] * 1000)
    return [Metric(n, float(v), time_ms, record["step"]) for n, v in values.items() if not isnan(v)]


def _describe(error: Exception) -> str:
    if isinstance(error, TrackingFailure):
        return str(error)
    return _("MLflow does not answer ({kind})", kind=type(error).__name__)
