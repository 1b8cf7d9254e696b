"""Read pipeline files: YAML 1.2, overrides, and all problems at once with their lines."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from configs.errors import ConfigError, Problem
from configs.language import _, english, translated
from configs.renames import renamed
from configs.schema import Applications, Pipeline

Path_ = tuple[str | int, ...]
Check = Callable[[Pipeline], Iterable[tuple[str, str]]]
OVERRIDE = "--set"
# ruamel also raises errors of Python's own constructors, for a date such as 2024-99-99.
BROKEN = (YAMLError, ValueError, KeyError, RecursionError)
PYDANTIC = (
    english("expected a finite number"),
    english("expected a valid boolean"),
    english("expected a valid dictionary"),
    english("expected a valid integer"),
    english("expected a valid list"),
    english("expected a valid number"),
    english("expected a valid string"),
    english("expected a valid tuple"),
    english("expected a section like {name}"),
    english("expected greater than {bound:g}"),
    english("expected greater than or equal to {bound:g}"),
    english("expected less than {bound:g}"),
    english("expected less than or equal to {bound:g}"),
    english("expected '{values}'"),
    english("String should have at least {count:d} character"),
    english("String should have at least {count:d} characters"),
    english("String should have at most {count:d} characters"),
)
"""What Pydantic says of values, with `expected` for `Input should be`."""
UNION_TAG = re.compile(r"\]$|^(constrained-)?(int|float|str|bool)$")


@dataclass
class Source:
    """A parsed file with the line of each key."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path_, int] = field(default_factory=dict)
    overridden: set[Path_] = field(default_factory=set)

    def where(self, location: Path_) -> str:
        """Format the position of a key: ``file:line: a.b`` or ``--set a.b``."""
        dotted = _dotted(location)
        below = sorted(key for key in self.overridden if key[: len(location)] == location)
        if below and location not in self.lines:
            return f"{OVERRIDE} {_dotted(below[0])}"
        for end in range(len(location), -1, -1):
            if location[:end] in self.overridden:
                return f"{OVERRIDE} {dotted}"
            if location[:end] in self.lines:
                return f"{self.path}:{self.lines[location[:end]]}" + (f": {dotted}" * bool(dotted))
        return f"{self.path}: {dotted}"

    def line(self, problem: Problem) -> int:
        """The line that a problem names, or 0."""
        number = problem.where.removeprefix(f"{self.path}:").partition(":")[0]
        return int(number) if number.isdigit() else 0


def load(
    path: Path,
    applications: Applications,
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Read, override and validate a pipeline file.

    Args:
        path: the YAML file.
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
        raise ConfigError(Problem(str(path), _("not valid YAML: {error}", error=error))) from None
    if not isinstance(values, dict):
        raise ConfigError(
            Problem(str(path), _("expected a mapping of sections"), translated(_HELP))
        )
    source.values = values
    return source


_HELP = english("`onestep init APPLICATION` writes a file to start from")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        others = {p.stem: p for p in path.parent.glob("*.y*ml")}
        near = difflib.get_close_matches(path.stem, others, 1)
        advice = _("did you mean {others}?", others=others[near[0]]) if near else translated(_HELP)
        raise ConfigError(Problem(str(path), _("no such file"), advice)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            Problem(
                str(path),
                _("expected UTF-8 text, found other bytes at offset {start}", start=error.start),
            )
        ) from None
    except OSError as error:
        raise ConfigError(
            Problem(str(path), _("cannot be read: {strerror}", strerror=error.strerror))
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
                f"{source.path}:{line}: {_dotted(here)}",
                _("duplicate key, already given on line {first}", first=first),
                _("keep one of the two"),
            )
        source.lines[here] = line
        yield from _index(value, here, source)


def apply_overrides(source: Source, overrides: Sequence[str]) -> None:
    """Set dotted keys in the parsed values.

    Raises:
        ConfigError: an override without ``=``, with a broken value, or below a scalar.
    """
    problems = [problem for text in overrides for problem in _apply(source, text)]
    if problems:
        raise ConfigError(problems)


def _apply(source: Source, text: str) -> Iterator[Problem]:
    dotted, equals, raw = text.partition("=")
    location = tuple(dotted.strip().split("."))
    if not equals or not all(location):
        yield Problem(f"{OVERRIDE} {text}", _("expected KEY=VALUE, such as training.epochs=3"))
        return
    try:
        value = YAML(typ="safe", pure=True).load(raw)
    except BROKEN:
        yield Problem(f"{OVERRIDE} {dotted}", _("the value {raw!r} is not valid YAML", raw=raw))
        return
    target = source.values
    for part in location[:-1]:
        child = target.setdefault(part, {})
        if not isinstance(child, dict):
            yield Problem(
                f"{OVERRIDE} {dotted}", _("`{part}` is a value, not a section", part=part)
            )
            return
        target = child
    target[location[-1]] = value
    source.overridden.add(location)


def validate(source: Source, applications: Applications) -> Pipeline:
    """Check the parsed values against the class of their application.

    Raises:
        ConfigError: with every violation.
    """
    problems = _application_problems(source, tuple(applications))
    kind = _class_of(source.values.get("application"), applications)
    try:
        pipeline = kind.model_validate_json(_json(source), strict=True)
    except ValidationError as error:
        kinds = kind, applications
        found = [problem for one in error.errors() for problem in _problems(source, one, *kinds)]
        raise ConfigError(sorted(_merged(problems + found), key=source.line)) from None
    if problems:
        raise ConfigError(_merged(problems))
    return pipeline


def _json(source: Source) -> str:
    try:
        return json.dumps(source.values, default=str)
    except (TypeError, ValueError) as error:
        message = _("expected plain values and keys: {error}", error=error)
        raise ConfigError(Problem(str(source.path), message)) from None


def _class_of(name: object, applications: Applications) -> type[Pipeline]:
    """The class of an application, or of the one with the most similar name."""
    near = difflib.get_close_matches(str(name), tuple(applications), 1, cutoff=0.6)
    return applications[near[0]] if near else Pipeline


def _application_problems(source: Source, names: Sequence[str]) -> list[Problem]:
    value = source.values.get("application")
    if not isinstance(value, str) or value in names:
        return []
    message = english(
        "expected one of {names}, found {value!r}", names=", ".join(names), value=value
    )
    return [Problem(source.where(("application",)), message, did_you_mean(value, names))]


def _dotted(location: Path_) -> str:
    return ".".join(str(part) for part in location)


def _problems(
    source: Source, details: ErrorDetails, kind: type[Pipeline], applications: Applications
) -> list[Problem]:
    """The problems of one validation error."""
    location = _without_union_tags(details["loc"])
    if news := renamed(_dotted(location), details["input"]):
        return [Problem(source.where(tuple(old.split("."))), what) for old, what in news.items()]
    if details["type"] == "extra_forbidden" and (owners := _owners(location, applications)):
        message = english(
            "{application} has no use for it; leave it out",
            application=source.values["application"],
        )
        return [
            Problem(
                source.where(location),
                message,
                english("it belongs to {owners}", owners=", ".join(owners)),
            )
        ]
    return [_problem(source, location, details, kind)]


def _problem(
    source: Source, location: Path_, details: ErrorDetails, kind: type[Pipeline]
) -> Problem:
    where = source.where(location)
    error, found = details["type"], details["input"]
    if error == "extra_forbidden":
        section = section_at(location[:-1], kind)
        names = tuple(section.model_fields) if section else ()
        advice = did_you_mean(str(location[-1]), names) or english(
            "known here: {names}", names=", ".join(names)
        )
        return Problem(where, english("unknown key"), advice)
    if error == "missing":
        return Problem(where, english("required, but not given"))
    if error == "string_pattern_mismatch":
        if "language" in location:
            message = english(
                "expected a code such as `en`, `deu` or `zh_CN`, found {found!r}", found=found
            )
            return Problem(where, message)
        return Problem(
            where,
            english("expected letters, digits, `.`, `_` and `-`, found {found!r}", found=found),
        )
    # Pydantic's own texts are in the catalogue by ``PYDANTIC``.
    message = details["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be", "expected").replace(
        "valid dictionary or instance of", "section like"
    )
    if isinstance(found, dict):
        return Problem(where, message)
    allowed = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    advice = did_you_mean(found, allowed) if isinstance(found, str) else ""
    return Problem(
        where,
        english("{message}, found {found}", message=message, found=json.dumps(found, default=str)),
        advice,
    )


def _merged(problems: list[Problem]) -> list[Problem]:
    """Join the expectations of the branches of one union, in the reader's language."""
    groups: dict[str, dict[str, Problem]] = {}
    for problem in problems:
        key = problem.where if problem.what.startswith("expected ") else str(problem)
        groups.setdefault(key, {}).setdefault(problem.what, problem)
    return [_joined(list(group.values())) for group in groups.values()]


def _joined(group: list[Problem]) -> Problem:
    *others, last = [problem.what for problem in group]
    parts = [translated(what) for what in [*(o.rsplit(", found", 1)[0] for o in others), last]]
    rest = [part.removeprefix(_("expected ")) for part in parts[1:]]
    what = _(" or ").join([parts[0], *rest]).replace("' or '", f"'{_(' or ')}'")
    advice = next((problem.advice for problem in group if problem.advice), "")
    return Problem(group[0].where, what, translated(advice))


def _without_union_tags(location: Path_) -> Path_:
    """Drop the parts that name a union's branch rather than a key."""
    return tuple(
        part for part in location if not (isinstance(part, str) and UNION_TAG.search(part))
    )


def _owners(location: Path_, applications: Applications) -> list[str]:
    """The applications that have a key."""
    sections = {name: section_at(location[:-1], kind) for name, kind in applications.items()}
    key = str(location[-1])
    return [name for name, section in sections.items() if section and key in section.model_fields]


def section_at(location: Path_, kind: type[BaseModel]) -> type[BaseModel] | None:
    """The section class at a config path, or None."""
    current: type[BaseModel] = kind
    for part in location:
        info = current.model_fields.get(str(part))
        found = _without_none(info.annotation) if info else None
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return None
        current = found
    return current


def _without_none(kind: Any) -> Any:
    """The section of ``Section | None``."""
    others = [branch for branch in get_args(kind) if branch is not type(None)]
    return others[0] if len(others) == 1 else kind


def did_you_mean(value: str, names: Sequence[str]) -> str:
    """The most similar name as advice; empty if none is similar."""
    near = difflib.get_close_matches(value, names, 1, cutoff=0.6)
    return _("did you mean `{near}`?", near=near[0]) if near else ""
