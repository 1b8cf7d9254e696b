"""Fixtures for tests of the command."""

from tests.support.homes import file, finished, one_prefect, prefect_server, shared

__all__ = ["file", "finished", "one_prefect", "prefect_server", "shared"]
