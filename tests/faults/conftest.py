"""Fixtures for tests of the command."""

from tests.support.homes import file, finished, shared

__all__ = ["file", "finished", "shared"]
