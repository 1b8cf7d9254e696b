"""A pipeline file as plain values, with the line of each key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from configs.errors import ConfigError, Problem
from configs.language import _, english
from configs.suggestions import other_file

Path_ = tuple[str | int, ...]
OVERRIDE = "--set"
HELP = english("`onestep init APPLICATION` writes a file to start from")
# ruamel also raises errors of Python's own constructors, for a date such as 2024-99-99.
BROKEN = (YAMLError, ValueError, KeyError, RecursionError)


@dataclass
class Source:
    """A parsed file with the line of each key."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path_, int] = field(default_factory=dict)
    overridden: set[Path_] = field(default_factory=set)

    def where(self, location: Path_) -> str:
        """Format the position of a key: ``file:line: a.b`` or ``--set a.b``."""
        written = dotted(location)
        below = sorted(key for key in self.overridden if key[: len(location)] == location)
        if below and location not in self.lines:
            return f"{OVERRIDE} {dotted(below[0])}"
        for end in range(len(location), -1, -1):
            if location[:end] in self.overridden:
                return f"{OVERRIDE} {written}"
            if location[:end] in self.lines:
                line = f"{self.path}:{self.lines[location[:end]]}"
                return f"{line}: {written}" if written else line
        return f"{self.path}: {written}"

    def line(self, problem: Problem) -> int:
        """The line that a problem names, or 0."""
        number = problem.where.removeprefix(f"{self.path}:").partition(":")[0]
        return int(number) if number.isdigit() else 0


def parse(path: Path) -> Source:
    """Parse a file into plain values, with the line of each key.

    Raises:
        ConfigError: not readable, not UTF-8, not YAML, duplicate keys, or not a mapping.
    """
    text = _text(path)
    try:
        yaml = YAML(typ="safe", pure=True)
        node = yaml.compose(text)
        source = Source(path, lines={(): 1})
        duplicates = list(_index(node, (), source)) if node else []
        if duplicates:
            raise ConfigError(duplicates)
        values = yaml.constructor.construct_document(node) if node else None
    except MarkedYAMLError as error:
        raise ConfigError(_syntax_problem(path, error)) from None
    except BROKEN as error:
        raise ConfigError.at(path, _("not valid YAML: {error}", error=error)) from None
    if not isinstance(values, dict):
        raise ConfigError.at(path, _("expected a mapping of sections"), HELP)
    source.values = values
    return source


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        advice = other_file(path, path.parent.glob("*.y*ml")) or HELP
        raise ConfigError.at(path, _("no such file"), advice) from None
    except UnicodeDecodeError as error:
        raise ConfigError.at(
            path, _("expected UTF-8 text, found other bytes at offset {start}", start=error.start)
        ) from None
    except OSError as error:
        raise ConfigError.at(
            path, _("cannot be read: {strerror}", strerror=error.strerror)
        ) from None


def _syntax_problem(path: Path, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark else ""
    message = (error.problem or str(error)).strip()
    advice = _("indent with spaces") if "\\t" in message else ""
    return Problem(f"{path}{line}", _("not valid YAML: {message}", message=message), advice)


def _index(node: Node, location: Path_, source: Source) -> Iterator[Problem]:
    """Record the line of every key below a node; yield a problem for each duplicate."""
    if isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            source.lines[(*location, position)] = item.start_mark.line + 1
            yield from _index(item, (*location, position), source)
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else str(key.value)
        here, line = (*location, name), key.start_mark.line + 1
        if here in source.lines:
            first = source.lines[here]
            yield Problem(
                f"{source.path}:{line}: {dotted(here)}",
                _("duplicate key, already given on line {first}", first=first),
                _("keep one of the two"),
            )
        source.lines[here] = line
        yield from _index(value, here, source)


def dotted(location: Path_) -> str:
    """A config path as people write it."""
    return ".".join(str(part) for part in location)
