"""The numbers of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from flows.models.serving.metrics import Metrics, Monitored


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise ArithmeticError


def test_a_request_that_ends_in_an_exception_is_counted() -> None:
    application = Monitored(broken, Metrics())

    async def ask() -> str:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            with pytest.raises(ArithmeticError):
                await client.get("/ping")
            return (await client.get("/metrics")).text

    assert 'onestep_requests_total{route="/ping",status="500"} 1.0' in asyncio.run(ask())
