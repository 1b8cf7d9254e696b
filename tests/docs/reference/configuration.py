"""The reference page of every field of a pipeline file, generated from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from configs.schema import Applications, Pipeline

Schema = Mapping[str, Any]

HEAD: Final = """# Configuration

Every section and field of a pipeline file, with its default. `null` stands for "not set". Unknown
keys are errors. `--set SECTION.FIELD=VALUE` overrides a field for one command.

`onestep init` writes these fields as comments into a new file, `onestep config` prints a file
filled in with the defaults, and `onestep schema` prints the JSON Schema for editors.
"""
BAR: Final = "&#124;"
BOUNDS: Final = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {:,}",
    "exclusiveMaximum": "< {:,}",
}
COLUMNS: Final = "| Field | Type | Default | Meaning |\n|---|---|---|---|"


def page(applications: Applications) -> str:
    """The page in Markdown: what every pipeline has, then what single applications add.

    Args:
        applications: the pipeline class of each application.
    """
    schema = Pipeline.model_json_schema()
    tables = [*_tables("", schema, schema["$defs"])]
    for name, kind in applications.items():
        own = kind.model_json_schema()
        if added := [*_added("", own, own["$defs"], schema, schema["$defs"])]:
            tables += [f"## Only {name}\n", *added]
    return HEAD + "\n" + "\n".join(tables)


def _added(
    path: str, own: Schema, sections: Schema, base: Schema, base_sections: Schema
) -> Iterator[str]:
    """Sections and fields that an application's pipeline has and the common one has not."""
    common = base["properties"]
    new = {name: field for name, field in own["properties"].items() if name not in common}
    if new and path:
        yield from _tables(path, {**own, "properties": new}, sections, level=3)
    for name, field in own["properties"].items():
        inner, known = _inner(field, sections), _inner(common.get(name, {}), base_sections)
        if inner and name in new and not path:
            yield from _tables(name, inner, sections, level=3)
        elif inner and known:
            yield from _added(_joined(path, name), inner, sections, known, base_sections)


def _tables(
    path: str, section: Schema, sections: Schema, level: int | None = None
) -> Iterator[str]:
    """A section, followed by its subsections."""
    fields: dict[str, Schema] = section["properties"]
    nested = {name: inner for name, field in fields.items() if (inner := _inner(field, sections))}
    title = f"{'#' * (level or 2 + path.count('.'))} {path or 'The file'}"
    required = section.get("required", ())
    rows = [
        _row(name, _joined(path, name), field, nested.get(name), name in required)
        for name, field in fields.items()
    ]
    yield "\n".join([title, "", _text(section), "", COLUMNS, *rows, ""])
    for name, inner in nested.items():
        yield from _tables(_joined(path, name), inner, sections, level)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _inner(field: Schema, sections: Schema) -> Schema | None:
    """The section of a field, or None."""
    for choice in field.get("anyOf", [field]):
        if "$ref" in choice:
            found: Schema = sections[choice["$ref"].rpartition("/")[2]]
            return found
    return None


def _row(name: str, path: str, field: Schema, inner: Schema | None, required: bool) -> str:
    default = "required" if required else "" if inner else _default(field)
    meaning = _text(field) or _text(inner or {})
    return f"| `{name}` | {_kind(field, path)} | {default} | {meaning} |"


def _text(schema: Schema) -> str:
    return " ".join(str(schema.get("description", "")).split())


def _default(field: Schema) -> str:
    """A default in YAML; fields with a factory default to an empty mapping."""
    value = field.get("default", {})
    written = value if isinstance(value, str) and value.isidentifier() else json.dumps(value)
    # A bar inside backticks would end the cell on some sites.
    return f"`{written}`" if "|" not in written else f"<code>{written}</code>".replace("|", BAR)


def _kind(schema: Schema, path: str) -> str:
    """The type of a field."""
    if "$ref" in schema:
        return f"[section](#{path.replace('.', '')})"
    if "anyOf" in schema:
        return " or ".join(_kind(choice, path) for choice in schema["anyOf"])
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{value}`" for value in values)
    if schema["type"] == "array":
        items = schema.get("prefixItems") or [schema["items"]]
        return f"list[{', '.join(_kind(item, path) for item in items)}]"
    if schema["type"] == "object":
        return f"mapping[string, {_kind(schema['additionalProperties'], path)}]"
    return _scalar(schema)


def _scalar(schema: Schema) -> str:
    kind = schema["type"]
    words = kind if isinstance(kind, str) else " or ".join(kind)
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return f"{words} ({', '.join(bounds)})" if bounds else words
