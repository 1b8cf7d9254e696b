"""Requests that wait are predicted together, and each has its own answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any

import pandas as pd
import pytest

from flows.models.serving.batching import (
    Batcher,
    ClosedError,
    Limits,
    PredictionError,
    QueueFullError,
    Request,
)
from flows.models.serving.metrics import Metrics
from tests.support.commands import eventually

SECONDS = 30
FOREVER = 1000.0


class Panic(BaseException):
    """As PyO3 raises when code in Rust panics."""


class Lengths:
    """A model that tells how long texts are and fails for ``!`` and ``?``; it can be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.params: list[Mapping[str, int]] = []
        self.free = threading.Event()
        self.free.set()

    def predict(self, table: pd.DataFrame, params: Mapping[str, int]) -> pd.DataFrame:
        self.batches.append(table["text"].to_list())
        self.params.append(params)
        assert self.free.wait(SECONDS)
        if table["text"].str.contains("!").any():
            raise ArithmeticError
        if table["text"].str.contains("?", regex=False).any():
            raise Panic
        return table["text"].str.len().to_frame("label")


class Held:
    """A batcher whose first request is being predicted until :meth:`release`."""

    def __init__(self, batcher: Batcher, model: Lengths) -> None:
        self.batcher = batcher
        self.model = model
        self.submitted: list[Future[Any]] = []
        model.free.clear()
        self.first = self.submit("first")
        eventually(lambda: model.batches)

    def submit(self, *texts: str, **options: Any) -> Future[Any]:
        rows = [{"text": text} for text in texts]
        request = Request(**{"model": self.model, "rows": rows, "params": {}} | options)
        self.submitted.append(self.batcher.submit(request))
        return self.submitted[-1]

    def release(self) -> list[list[str]]:
        """Predict everything; the batches after the first."""
        self.model.free.set()
        assert not wait(self.submitted, SECONDS).not_done
        return self.model.batches[1:]


Start = Callable[..., Held]


@pytest.fixture
def start() -> Iterator[Start]:
    batchers = []

    def begin(**limits: Any) -> Held:
        batchers.append(Batcher(Limits(**({"delay": 0.0} | limits)), Metrics()))
        return Held(batchers[-1], Lengths())

    yield begin
    for batcher in batchers:
        batcher.close()


def labels(answers: Any) -> Sequence[int]:
    records = answers if isinstance(answers, list) else answers.to_dict("records")
    return [record["label"] for record in records]


def test_requests_that_wait_are_predicted_together_and_each_has_its_own_answers(
    start: Start,
) -> None:
    held = start()
    waiting = [held.submit("a" * number, "b") for number in (3, 2, 4)]
    assert held.release() == [["aaa", "b", "aa", "b", "aaaa", "b"]]
    assert [labels(one.result(SECONDS)) for one in waiting] == [[3, 1], [2, 1], [4, 1]]
    assert labels(held.first.result(SECONDS)) == [5]


def test_a_request_fails_alone(start: Start) -> None:
    held = start()
    good, bad, other = held.submit("a"), held.submit("!"), held.submit("bb")
    held.release()
    assert labels(good.result(SECONDS)) == [1]
    assert labels(other.result(SECONDS)) == [2]
    error = bad.exception(SECONDS)
    assert isinstance(error, PredictionError)
    assert str(error) == "ArithmeticError"


def test_after_a_panic_others_are_predicted(start: Start) -> None:
    held = start()
    bad, good = held.submit("?"), held.submit("a")
    held.release()
    assert str(bad.exception(SECONDS)) == "Panic"
    assert labels(good.result(SECONDS)) == [1]


def test_a_batch_has_at_most_its_size_unless_one_request_has_more(start: Start) -> None:
    held = start(batch_size=4)
    for texts in (["a"] * 2, ["b"] * 2, ["c"], ["d"] * 9, ["e"]):
        held.submit(*texts)
    assert [len(batch) for batch in held.release()] == [4, 1, 9, 1]


def test_models_and_batch_sizes_are_not_mixed(start: Start) -> None:
    held, other = start(), Lengths()
    held.submit("a")
    held.submit("b", params={"batch_size": 2})
    theirs = held.submit("c", model=other)
    held.submit("d")
    assert held.release() == [["a", "d"], ["b"]]
    assert held.model.params[1:3] == [{}, {"batch_size": 2}]
    assert labels(theirs.result(SECONDS)) == [1]
    assert other.batches == [["c"]]


def test_what_is_to_be_alone_is(start: Start) -> None:
    held = start()
    held.submit("a")
    held.submit("b", alone=True)
    held.submit("c")
    assert held.release() == [["a", "c"], ["b"]]


def test_beyond_its_size_the_queue_refuses(start: Start) -> None:
    held = start(queue_size=2)
    waiting = [held.submit("a"), held.submit("b")]
    with pytest.raises(QueueFullError, match="at most 2 waiting requests"):
        held.submit("c")
    held.model.free.set()
    assert [labels(one.result(SECONDS)) for one in waiting] == [[1], [1]]
    assert labels(held.submit("c").result(SECONDS)) == [1]


def test_a_request_that_nobody_awaits_is_not_predicted(start: Start) -> None:
    held = start()
    assert held.submit("a").cancel()
    held.submit("b")
    assert held.release() == [["b"]]


def test_a_lone_client_does_not_wait_and_others_wait_for_each_other(start: Start) -> None:
    held = start(delay=FOREVER)
    together = [held.submit("a"), held.submit("b")]
    held.model.free.set()
    assert [labels(one.result(SECONDS)) for one in (held.first, *together)] == [[5], [1], [1]]
    again = held.submit("c")
    assert not wait([again], 0.05).done
    assert labels(held.submit("d").result(SECONDS)) == [1]
    assert held.model.batches == [["first"], ["a", "b"], ["c", "d"]]


def test_a_batch_of_some_time_ago_makes_nobody_wait(start: Start) -> None:
    held = start(delay=0.01)
    held.submit("a")
    held.submit("b")
    held.release()
    eventually(lambda: held.batcher._last_size == 1)


def test_a_closed_batcher_ends_after_its_batch(start: Start) -> None:
    held = start()
    dropped = held.submit("a")
    closing = threading.Thread(target=held.batcher.close)
    closing.start()
    eventually(dropped.cancelled)
    held.model.free.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert labels(held.first.result()) == [5]


def test_a_closed_batcher_waits_for_no_more_requests(start: Start) -> None:
    held = start(delay=FOREVER)
    held.submit("a")
    held.submit("b")
    held.release()
    alone = held.submit("c")
    closing = threading.Thread(target=held.batcher.close, daemon=True)
    closing.start()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert alone.cancelled()
    with pytest.raises(ClosedError):
        held.submit("d")
