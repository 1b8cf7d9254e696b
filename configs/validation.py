"""Check the values of a pipeline file, and tell all problems at once with their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from configs.errors import ConfigError, Problem
from configs.language import _, english, translated
from configs.renames import renamed
from configs.schema import Applications, Pipeline
from configs.source import Path_, Source, dotted
from configs.suggestions import did_you_mean, nearest

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


def validate(source: Source, applications: Applications) -> Pipeline:
    """Check the parsed values against the class of their application.

    Raises:
        ConfigError: with every violation.
    """
    found = _application_problems(source, tuple(applications))
    kind = _class_of(source.values.get("application"), applications)
    try:
        pipeline = kind.model_validate_json(_json(source), strict=True)
    except ValidationError as error:
        for one in error.errors():
            found += _problems(source, one, kind, applications)
    if found:
        raise ConfigError(sorted(_merged(found), key=source.line))
    return pipeline


def _json(source: Source) -> str:
    try:
        return json.dumps(source.values, default=str)
    except (TypeError, ValueError) as error:
        message = _("expected plain values and keys: {error}", error=error)
        raise ConfigError.at(source.path, message) from None


def _class_of(name: object, applications: Applications) -> type[Pipeline]:
    """The class of an application, or of the one with the most similar name."""
    near = nearest(str(name), applications)
    return applications[near] if near else Pipeline


def _application_problems(source: Source, names: Sequence[str]) -> list[Problem]:
    value = source.values.get("application")
    if not isinstance(value, str) or value in names:
        return []
    message = english(
        "expected one of {names}, found {value!r}", names=", ".join(names), value=value
    )
    return [Problem(source.where(("application",)), message, did_you_mean(value, names))]


def _problems(
    source: Source, details: ErrorDetails, kind: type[Pipeline], applications: Applications
) -> list[Problem]:
    """The problems of one validation error."""
    location = _without_union_tags(details["loc"])
    if news := renamed(dotted(location), details["input"]):
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
