"""A server that several clients use at a time, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import Running, eventually, started
from tests.support.homes import NAME, Finished, file, finished, shared
from tests.support.rows import reviews
from tests.support.stores import closed_port

__all__ = ["file", "finished", "shared"]
pytestmark = pytest.mark.xdist_group("homes")
QUEUE = 4
MANY = 12_000
"""Rows whose prediction takes longer than to send a few requests."""
TEXTS = list(dict.fromkeys(text for text, _ in reviews()))


@dataclass(frozen=True)
class Served:
    """A server and its clients."""

    running: Running
    client: httpx.Client
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32))

    def ask(self, *texts: str | None) -> httpx.Response:
        rows = {"dataframe_records": [{"text": text} for text in texts]}
        return self.client.post("/invocations", json=rows)

    def send(self, *texts: str | None) -> Future[httpx.Response]:
        return self.threads.submit(self.ask, *texts)

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Values by name and labels."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    def occupy(self) -> Future[httpx.Response]:
        """Send a long request, and wait until it is being predicted."""
        rows = self.metrics()["onestep_rows_total",]
        long = self.send(*["a b"] * MANY)
        eventually(lambda: self.metrics()["onestep_rows_total",] == rows + MANY, self.running)
        return long

    def await_queue(self, size: int) -> None:
        eventually(lambda: self.metrics()["onestep_queue_size",] == size, self.running)


@pytest.fixture(scope="module")
def served(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = closed_port()
    options = ("--max-queue-size", str(QUEUE), "--max-batch-delay", "2.5")
    with started(finished.home, "serve", NAME, "--port", str(port), *options) as running:
        running.says("serving models:/")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            eventually(lambda: listens(client), running)
            one = Served(running, client)
            yield one
            one.threads.shutdown()


def listens(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").status_code == 200
    except httpx.TransportError:
        return False


def predicted(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def test_requests_are_predicted_together_with_the_answers_that_each_has_alone(
    served: Served,
) -> None:
    questions = [TEXTS[:3], TEXTS[3:4], [TEXTS[4] + " and so on" * 9, TEXTS[5]], TEXTS[6:7]]
    alone = [predicted(served.ask(*texts)) for texts in questions]
    before = served.metrics()
    long = served.occupy()
    together = [served.send(*texts) for texts in questions]
    served.await_queue(QUEUE)
    found = [predicted(answer.result()) for answer in together]
    assert len(predicted(long.result())) == MANY
    for row, expected in zip(chain(*found), chain(*alone), strict=True):
        assert row["label"] == expected["label"]
        assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    after = served.metrics()
    assert after["onestep_batch_size_count",] - before["onestep_batch_size_count",] == 2
    assert after["onestep_batch_size_sum",] - before["onestep_batch_size_sum",] == MANY + 7


def test_beyond_the_queue_requests_are_told_to_come_again(served: Served) -> None:
    long = served.occupy()
    waiting = [served.send(text) for text in TEXTS[:QUEUE]]
    served.await_queue(QUEUE)
    refused = served.ask(TEXTS[0])
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json() == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": f"expected at most {QUEUE} waiting requests; try again later",
    }
    assert [len(predicted(answer.result())) for answer in (*waiting, long)] == [1] * QUEUE + [MANY]
    assert served.metrics()["onestep_requests_total", "/invocations", "429"] == 1


def test_a_bad_request_among_good_ones_is_refused_alone(served: Served) -> None:
    asked = [served.send(text) for text in (TEXTS[0], None, TEXTS[1], "", TEXTS[2])]
    assert [one.result().status_code for one in asked] == [200, 400, 200, 400, 200]


def test_metrics_name_the_version_and_count_what_happened(served: Served) -> None:
    before = served.metrics()
    served.ask(TEXTS[0])
    assert served.client.get("/anything").status_code == 404
    after = served.metrics()
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    assert after["onestep_model_info", NAME, "1"] == 1
    assert grown["onestep_requests_total", "/invocations", "200"] == 1
    assert grown["onestep_requests_total", "other", "404"] == 1
    assert grown["onestep_rows_total",] == 1
    assert grown["onestep_request_duration_seconds_count",] == 1
    assert grown["onestep_request_duration_seconds_bucket", "+Inf"] == 1
    assert (after["onestep_queue_size",], after["onestep_requests_in_progress",]) == (0, 0)
    quantiles = [
        after["onestep_request_duration_quantile_seconds", share]
        for share in ("0.5", "0.95", "0.99")
    ]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2]


def test_what_was_accepted_is_answered_when_the_server_stops(served: Served) -> None:
    asked = [served.occupy(), *(served.send(text) for text in TEXTS[:3])]
    served.await_queue(3)
    served.running.process.terminate()
    assert [len(predicted(one.result())) for one in asked] == [MANY, 1, 1, 1]
    done = served.running.wait()
    assert done.code == 143, done.output
    assert "a request took " in done.out
