"""Find applications: those of this package by their folder, others through entry points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

from configs.errors import ConfigError
from configs.language import english
from configs.schema import Pipeline
from tasks.applications.base import Application
from tasks.extensions import Extensions

GROUP = "onestep.applications"
MODULE = "application"


def _built_in() -> Mapping[str, EntryPoint]:
    """The folders here that have an ``application.py``."""
    folders = (path.parent.name for path in Path(__file__).parent.glob(f"*/{MODULE}.py"))
    package = __name__.rpartition(".")[0]
    return {
        name: EntryPoint(name, f"{package}.{name}.{MODULE}:APPLICATION", GROUP) for name in folders
    }


APPLICATIONS: Final[Extensions[object]] = Extensions(GROUP, _built_in())


def names() -> tuple[str, ...]:
    """The names of all applications."""
    return tuple(APPLICATIONS.names())


@cache
def get(name: str) -> Application:
    """Find an application by its name.

    Raises:
        ConfigError: there is no such application, or its package cannot be loaded.
    """
    if refusal := APPLICATIONS.refusal(name):
        raise ConfigError.at("application", refusal)
    try:
        found = APPLICATIONS.load(name)
        found = found.load() if isinstance(found, EntryPoint) else found
    except Exception as error:
        advice = english("repair or uninstall the package that brings it")
        raise ConfigError.at(
            english("application {name}", name=name),
            english("cannot be loaded: {error}", error=error),
            advice,
        ) from None
    if not isinstance(found, Application) or found.name != name:
        message = english(
            "expected an Application named {name!r} behind the entry point", name=name
        )
        raise ConfigError.at(english("application {name}", name=name), message)
    return found


class Pipelines(Mapping[str, type[Pipeline]]):
    """The pipeline class of each application; a package is loaded when its class is asked for."""

    def __getitem__(self, name: str) -> type[Pipeline]:
        """The class of an application."""
        return get(name).pipeline

    def __iter__(self) -> Iterator[str]:
        """The names of all applications."""
        return iter(names())

    def __len__(self) -> int:
        """How many applications there are."""
        return len(names())


PIPELINES = Pipelines()
