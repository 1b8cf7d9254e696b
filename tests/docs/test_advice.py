"""The advice of every message can be followed: the fields and the commands that it names exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

from configs.schema import Pipeline
from flows.cli.main import app
from tasks.applications import registry
from tests.support.messages import catalogue

MESSAGES = sorted(
    {
        str(part)
        for one in catalogue()
        if one.id
        for part in (one.id if isinstance(one.id, tuple) else [one.id])
    }
)
GROUP: Any = get_command(app)
PIPELINES = [Pipeline, *(registry.get(name).pipeline for name in registry.names())]
SECTIONS = sorted({name for kind in PIPELINES for name in kind.model_fields})
FIELD = re.compile(rf"(?<![\w./{{-])(?:{'|'.join(SECTIONS)})(?:\.[a-z_]+)+(?![\w(])")
COMMAND = re.compile(r"(?:`|:\s+)onestep ([a-z]+[^`,;()]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
FILES = {"model.safetensors"}
FOREIGN = {"--local-dir", "--repo-type", "--active-slots"}
"""Options of other programs."""


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """The sections in the type of a field."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from models(inner)


def exists(kinds: list[Any], names: list[str]) -> bool:
    """Whether some section has a field; what has names of its own, such as labels, has any."""
    if not names:
        return True
    for kind in kinds:
        if (field := kind.model_fields.get(names[0])) is not None:
            inner = [*models(field.annotation)]
            if (not inner and "dict" in str(field.annotation)) or exists(inner, names[1:]):
                return True
    return False


FIELDS = [
    (message, name) for message in MESSAGES for name in FIELD.findall(message) if name not in FILES
]
COMMANDS = [(message, words) for message in MESSAGES for words in COMMAND.findall(message)]
OPTIONS = [(message, name) for message in MESSAGES for name in OPTION.findall(message)]


@pytest.mark.parametrize(("message", "name"), FIELDS)
def test_a_field_that_a_message_names_exists(message: str, name: str) -> None:
    assert exists(PIPELINES, name.split(".")), message


@pytest.mark.parametrize(("message", "words"), COMMANDS)
def test_a_command_that_a_message_names_exists(message: str, words: str) -> None:
    name, *rest = shlex.split(words.replace("{", "").replace("}", ""))
    assert name in GROUP.commands, message
    known = {text for parameter in GROUP.commands[name].params for text in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known, message


@pytest.mark.parametrize(("message", "name"), OPTIONS)
def test_an_option_that_a_message_names_exists(message: str, name: str) -> None:
    known = {
        text
        for command in GROUP.commands.values()
        for parameter in command.params
        for text in (*parameter.opts, *parameter.secondary_opts)
    }
    assert name in known | FOREIGN, message


def test_messages_name_fields_and_commands() -> None:
    assert len(FIELDS) > 40
    assert len(COMMANDS) > 3
