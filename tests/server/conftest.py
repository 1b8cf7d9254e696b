"""Fixtures for tests of the server mode: the servers start once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.stand import Stand, servers
from tests.support.homes import file, shared

__all__ = ["file", "shared", "stand"]


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """Every server of the compose file, for one test process."""
    with servers() as running:
        yield running
