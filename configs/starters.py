"""Starter pipeline files, generated from the schema."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from configs.errors import ConfigError
from configs.files import write_atomic
from configs.language import _
from configs.schema import Applications, Pipeline, Section, json_schema
from configs.suggestions import did_you_mean

HINT = "# yaml-language-server: $schema={schema}"
SCHEMA_FILE = "pipeline.schema.json"
WIDTH = 96


def write_starter(application: str, output: Path | None, applications: Applications) -> Path:
    """Write a commented file for an application, and the schema beside it.

    Raises:
        ConfigError: no such application, or the file exists.
    """
    names = tuple(applications)
    if application not in names:
        message = _(
            "expected one of {names}, found {application!r}",
            names=", ".join(names),
            application=application,
        )
        raise ConfigError.at("APPLICATION", message, did_you_mean(application, names))
    path = output or Path(f"{application}.yaml")
    if path.exists():
        raise ConfigError.at(path, _("the file exists"), _("choose another with --output"))
    # Both texts before either file: an application that cannot be loaded leaves nothing behind.
    schema, text = _schema(applications), starter(application, applications[application])
    write_atomic(path.parent / SCHEMA_FILE, schema)
    write_atomic(path, text)
    return path


def _schema(applications: Applications) -> str:
    """The JSON Schema that editors complete and check pipeline files with."""
    return json.dumps(json_schema(applications), indent=2) + "\n"


def starter(application: str, kind: type[Pipeline] = Pipeline) -> str:
    """A pipeline file with the required settings; every other field is a comment with its default.

    Where the defaults do not suffice, the settings are those of the shipped pipeline.
    """
    needed = _needed(application)
    lines = [
        HINT.format(schema=SCHEMA_FILE),
        f"name: my-{application}",
        f"application: {application}",
        "",
        "data:",
        "  train: train.csv",
        *_commented(_section(kind, "data"), skip={"train"}),
    ]
    for name, info in kind.model_fields.items():
        if name in needed:
            said = textwrap.indent(filled(needed[name]), "  ").rstrip()
            rest = _commented(_section(kind, name), skip=set(needed[name]))
            lines += ["", f"# {info.description}", f"{name}:", said, *rest]
        elif not info.is_required() and isinstance(info.default, int):
            lines += ["", f"# {info.description}", f"# {name}: {info.default}"]
        elif name not in {"name", "application", "data"}:
            lines += ["", *_field(name, info)]
    return "\n".join(lines) + "\n"


def _needed(application: str) -> dict[str, dict[str, Any]]:
    """The ``language`` and ``model`` sections of the shipped pipeline."""
    yaml = YAML(typ="safe", pure=True)
    shipped = (yaml.load(path) for path in sorted(Path(__file__).parent.glob("*.yaml")))
    chosen = (record for record in shipped if record["application"] == application)
    pipeline: dict[str, Any] = next(chosen, {})
    return {name: pipeline[name] for name in ("language", "model") if name in pipeline}


def _field(name: str, info: FieldInfo) -> Iterator[str]:
    """A section or a value of the file, as a comment."""
    yield f"# {' '.join((info.description or '').split())}"
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
        yield f"# {name}:"
        yield from _commented(info.annotation, "# ")
    else:
        yield f"# {name}: {_scalar(_default(info))}"


def _section(kind: type[Pipeline], name: str) -> type[BaseModel]:
    section = kind.model_fields[name].annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return section


def _commented(
    section: type[BaseModel], prefix: str = "  # ", skip: frozenset[str] | set[str] = frozenset()
) -> Iterator[str]:
    indent = "" if prefix == "  # " else "  "
    for name, info in section.model_fields.items():
        if name in skip:
            continue
        text = " ".join((info.description or "").split())
        for line in textwrap.wrap(text, WIDTH - 6):
            yield f"{prefix}{indent}# {line}" if indent else f"{prefix}{line}"
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield f"{prefix}{indent}{name}:"
            yield from _commented(kind, prefix + indent + "  ")
        else:
            yield f"{prefix}{indent}{name}: {_scalar(_default(info))}"


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _scalar(value: Any) -> str:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 10_000
    yaml.dump(value, stream)
    return stream.getvalue().removesuffix("\n...\n").strip()


def filled(record: dict[str, Any]) -> str:
    """A record as a YAML file in block style."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    yaml.representer.add_representer(str, _string)
    yaml.dump(record, stream)
    return stream.getvalue()


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _string(representer: Any, text: str) -> Any:
    # Within other quotation marks, YAML reads any of these as a blank.
    style = '"' if set(text) & set("\n\x85\u2028\u2029") else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style)
