"""Commands about pipeline files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import File, Json, Overrides


def _applications(incomplete: str) -> list[str]:
    from tasks.applications import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


def init(
    application: Annotated[
        str, typer.Argument(help="The NLP problem.", autocompletion=_applications)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME.yaml by default.")
    ] = None,
) -> None:
    """Write a commented pipeline file to start from."""
    from configs.starters import write_starter
    from tasks.applications.registry import PIPELINES

    path = write_starter(application, output, PIPELINES)
    typer.echo(f"wrote {path}; name your files in it, then: onestep check {path}")


def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors."""
    from configs.schema import json_schema
    from tasks.applications.registry import PIPELINES

    typer.echo(json.dumps(json_schema(PIPELINES), indent=2))


def config(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Print a pipeline file filled in with every default."""
    from configs.starters import filled
    from flows.run.reading import read

    pipeline = read(file, set_ or [])
    record = pipeline.model_dump(mode="json")
    typer.echo(json.dumps(record, indent=2) if as_json else filled(record), nl=as_json)


COMMANDS = (init, schema, config)
