"""Requests that come at the same time are predicted together, by one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from flows.models.reading import Row
from flows.models.serving.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How requests are put together.

    Attributes:
        batch_size: most rows of several requests that are predicted together.
        delay: seconds that a batch waits for as many requests as the one before it had.
        queue_size: most requests that wait.
    """

    batch_size: int = 64
    delay: float = 0.005
    queue_size: int = 256


class ClosedError(Exception):
    """No more requests are predicted."""


class PredictionError(Exception):
    """The model failed; the message is the type of its error."""


class QueueFullError(Exception):
    """As many requests wait as may."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"expected at most {waiting:,} waiting requests; try again later")


@dataclass(frozen=True, eq=False)
class Request:
    """Rows for a model.

    Attributes:
        alone: never predicted together with the rows of other requests.
    """

    model: Any
    rows: Sequence[Row]
    params: Mapping[str, int]
    alone: bool = False
    answers: Future[Any] = field(default_factory=Future)

    def goes_with(self, other: Request) -> bool:
        """Whether the two can be predicted together."""
        if self.alone or other.alone:
            return self is other
        return self.model is other.model and self.params == other.params


class Batcher:
    """Predicts in a thread of its own what is submitted.

    A batch waits until it has as many requests as the one before it, at most for the delay. If none
    came for longer than the delay, the next request is predicted at once.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self.metrics = metrics
        self._queue: deque[Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._last_size = 1
        metrics.waiting.set_function(lambda: len(self._queue))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Future[Any]:
        """Queue a request; its answers are what the model returns, or a list with one for each row.

        Raises:
            QueueFullError: as many wait as may.
            ClosedError: the batcher is closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            if len(self._queue) >= self._limits.queue_size:
                raise QueueFullError(len(self._queue))
            self._queue.append(request)
            self._changed.notify()
        return request.answers

    def close(self) -> None:
        """End after the batch that is being predicted; requests that wait are cancelled."""
        with self._changed:
            for request in self._queue:
                request.answers.cancel()
            self._queue.clear()
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            if wanted := [r for r in batch if r.answers.set_running_or_notify_cancel()]:
                rows = sum(len(request.rows) for request in wanted)
                self.metrics.batch.observe(rows)
                self.metrics.rows.inc(rows)
                _answer(wanted)

    def _next(self) -> list[Request]:
        """The first request and those that go with it; none after the last."""
        with self._changed:
            if not self._changed.wait_for(self._is_needed, self._limits.delay):
                self._last_size = 1
                self._changed.wait_for(self._is_needed)
            self._changed.wait_for(self._is_enough, self._limits.delay)
            batch = list(self._first_that_fit())
            self._queue = deque(request for request in self._queue if request not in batch)
            self._last_size = len(batch)
        return batch

    def _is_needed(self) -> bool:
        return bool(self._queue) or self._closed

    def _is_enough(self) -> bool:
        rows = sum(len(request.rows) for request in self._queue)
        enough = len(self._queue) >= self._last_size or rows >= self._limits.batch_size
        return enough or self._closed

    def _first_that_fit(self) -> Iterator[Request]:
        """The first request, and those that go with it until the batch has its size."""
        rows = 0
        for request in self._queue:
            if request.goes_with(self._queue[0]):
                rows += len(request.rows)
                if rows > self._limits.batch_size and request is not self._queue[0]:
                    return
                yield request


def _answer(batch: Sequence[Request]) -> None:
    """Predict requests together; each one by itself if that fails, so that it fails alone."""
    try:
        for request, answers in zip(batch, _predict(batch), strict=True):
            request.answers.set_result(answers)
    except BaseException as error:  # A panic of a tokenizer in Rust is no Exception.
        if len(batch) == 1:
            batch[0].answers.set_exception(PredictionError(type(error).__name__))
        else:
            for request in batch:
                _answer([request])


def _predict(batch: Sequence[Request]) -> list[Any]:
    """The answers to each request."""
    import pandas as pd

    first = batch[0]
    frame = pd.DataFrame([row for request in batch for row in request.rows])
    answers = first.model.predict(frame, dict(first.params))
    if len(batch) == 1:
        return [answers]
    records = answers.to_dict("records")
    ends = list(accumulate(len(request.rows) for request in batch))
    return [records[end - len(r.rows) : end] for r, end in zip(batch, ends, strict=True)]
