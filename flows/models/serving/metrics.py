"""What a server does, in numbers: metrics for Prometheus, and how long predictions take."""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, make_asgi_app

from configs.language import _

ROUTES = ("/invocations", "/ping", "/health")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
QUANTILES = (0.5, 0.95, 0.99)
RECENT = 10_000
"""Requests of which the quantiles are taken."""


class Metrics:
    """Counters, gauges and histograms of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.page = make_asgi_app(registry)
        self.model = Info("onestep_model", "The served version.", registry=registry)
        self.requests = Counter(
            "onestep_requests", "Answered requests.", ["route", "status"], registry=registry
        )
        self.in_progress = Gauge(
            "onestep_requests_in_progress", "Requests without an answer yet.", registry=registry
        )
        self.waiting = Gauge("onestep_queue_size", "Requests that wait.", registry=registry)
        self.rows = Counter("onestep_rows", "Predicted rows.", registry=registry)
        self.batch = Histogram(
            "onestep_batch_size", "Rows predicted together.", buckets=ROWS, registry=registry
        )
        self._seconds = Histogram(
            "onestep_request_duration_seconds",
            "Time from the whole request to its answer, of requests that were predicted.",
            buckets=SECONDS,
            registry=registry,
        )
        self._recent: deque[float] = deque(maxlen=RECENT)
        quantiles = Gauge(
            "onestep_request_duration_quantile_seconds",
            f"Quantiles of the last {RECENT:,} of these times.",
            ["quantile"],
            registry=registry,
        )
        for share in QUANTILES:
            quantiles.labels(share).set_function(partial(self.quantile, share))

    def predicted(self, seconds: float) -> None:
        """Note the time of a request."""
        self._seconds.observe(seconds)
        self._recent.append(seconds)

    def quantile(self, share: float) -> float:
        """The time that a share of the last requests did not exceed; NaN without requests."""
        times = sorted(self._recent)
        return times[math.ceil(share * len(times)) - 1] if times else math.nan

    def summary(self) -> str:
        """How long predictions took, in a sentence; empty without any."""
        if not self._recent:
            return ""
        p50, p95, p99 = (f"{self.quantile(share) * 1000:,.0f} ms" for share in QUANTILES)
        return _("a request took {p50} (p50), {p95} (p95), {p99} (p99)", p50=p50, p95=p95, p99=p99)


class Monitored:
    """An ASGI application that counts the requests to another, and has ``/metrics``."""

    def __init__(self, application: Any, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/metrics":
            await self._metrics.page(scope, receive, send)
            return
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def watched(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with self._metrics.in_progress.track_inprogress():
                await self._application(scope, receive, watched)
        finally:
            route = scope["path"] if scope["path"] in ROUTES else "other"
            self._metrics.requests.labels(route, status).inc()
