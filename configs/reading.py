"""Read pipeline files: YAML 1.2, overrides, and all problems at once with their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from configs.errors import ConfigError, Problem
from configs.language import _
from configs.schema import Applications, Pipeline
from configs.source import BROKEN, OVERRIDE, Source, parse
from configs.validation import validate

Check = Callable[[Pipeline], Iterable[tuple[str, str]]]


def load(
    path: Path,
    applications: Applications,
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Read, override and validate a pipeline file.

    Args:
        applications: the pipeline class of each application.
        overrides: ``dotted.key=value`` strings; the value is read as YAML.
        checks: functions from a valid pipeline to ``(dotted path, message)`` pairs, for rules of
            other packages, such as the settings that a model family supports.
        settings: the pipeline as plain values, in place of what the file says.

    Raises:
        ConfigError: with every problem that was found.
    """
    source = parse(path) if settings is None else Source(path, values=deepcopy(dict(settings)))
    apply_overrides(source, overrides)
    pipeline = validate(source, applications).below(path.parent)
    problems = [
        Problem(source.where(tuple(dotted.split("."))), message)
        for check in checks
        for dotted, message in check(pipeline)
    ]
    if problems:
        raise ConfigError(problems)
    return pipeline


def apply_overrides(source: Source, overrides: Sequence[str]) -> None:
    """Set dotted keys in the parsed values.

    Raises:
        ConfigError: an override without ``=``, with a broken value, or below a scalar.
    """
    problems = [problem for text in overrides for problem in _apply(source, text)]
    if problems:
        raise ConfigError(problems)


def _apply(source: Source, text: str) -> Iterator[Problem]:
    key, equals, raw = text.partition("=")
    location = tuple(key.strip().split("."))
    if not equals or not all(location):
        yield Problem(f"{OVERRIDE} {text}", _("expected KEY=VALUE, such as training.epochs=3"))
        return
    try:
        value = YAML(typ="safe", pure=True).load(raw)
    except BROKEN:
        yield Problem(f"{OVERRIDE} {key}", _("the value {raw!r} is not valid YAML", raw=raw))
        return
    target = source.values
    for part in location[:-1]:
        child = target.setdefault(part, {})
        if not isinstance(child, dict):
            yield Problem(f"{OVERRIDE} {key}", _("`{part}` is a value, not a section", part=part))
            return
        target = child
    target[location[-1]] = value
    source.overridden.add(location)
