"""Requests to a served model: one client, and several at a time."""

from __future__ import annotations

import csv
import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from flows.models.serving.metrics import QUANTILES
from tests.benchmarks.commands import run, scratch
from tests.benchmarks.figures import Figures
from tests.benchmarks.options import ROOT, Options, shipped
from tests.support.commands import eventually, started
from tests.support.stores import closed_port

CLIENTS = (1, 4, 16, 64)
SECONDS = 6.0


def serve(options: Options) -> Figures:
    """Throughput and latency of the shipped sentiment model, one row a request."""
    port, seconds = closed_port(), 1.0 if options.quick else SECONDS
    measured: dict[int, list[list[float]]] = {clients: [] for clients in CLIENTS}
    with scratch() as folder:
        run(folder / "home", ROOT / "configs" / "sentiment.yaml", shipped(options))
        with started(folder / "home", "serve", "sentiment", "--port", str(port)) as server:
            server.says("serving models:/")
            eventually(lambda: _listens(port), server)
            for _ in range(options.pairs):
                for clients, found in measured.items():
                    found.append(_measure(port, clients, seconds))
    one = _speed(measured[1], seconds)
    rows = [
        [
            str(clients),
            f"{_speed(found, seconds):.1f}",
            f"{_speed(found, seconds) / one:.2f}",
            *_latency(found),
        ]
        for clients, found in measured.items()
    ]
    columns = ["clients", "requests/s", "against one", "p50 ms", "p95 ms", "p99 ms"]
    return Figures("Serving, one row a request", columns, rows, "Medians over the rounds.")


def _speed(rounds: Sequence[Sequence[float]], seconds: float) -> float:
    return median(len(times) for times in rounds) / seconds


def _latency(rounds: Sequence[Sequence[float]]) -> list[str]:
    found = [
        median(sorted(times)[int(share * len(times))] for times in rounds) for share in QUANTILES
    ]
    return [f"{value * 1000:.0f}" for value in found]


def _measure(port: int, clients: int, seconds: float) -> list[float]:
    """The time of each request of clients that each send the next one when they have an answer."""
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(clients) as threads:
        asked = [threads.submit(_ask, port, number, end) for number in range(clients)]
    return [seconds for one in asked for seconds in one.result()]


def _ask(port: int, number: int, end: float) -> list[float]:
    bodies = _bodies()[number:] + _bodies()[:number]
    connection, times = http.client.HTTPConnection("127.0.0.1", port), []
    while (began := time.perf_counter()) < end:
        body = bodies[len(times) % len(bodies)]
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        if time.perf_counter() < end:
            times.append(time.perf_counter() - began)
    connection.close()
    return times


def _bodies() -> list[str]:
    with (ROOT / "configs" / "samples" / "sentiment.test.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [json.dumps({"dataframe_records": [{"text": row["text"]}]}) for row in rows]


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
