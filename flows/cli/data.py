"""Commands about pipeline files and labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from configs.language import _, translated
from flows.cli.options import File, Json, Overrides, console, open_workspace, show, write_data


def _applications(incomplete: str) -> list[str]:
    from tasks.applications import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


def init(
    application: Annotated[
        str,
        typer.Argument(
            help="The NLP problem, such as `topics`; any other word lists all of them.",
            autocompletion=_applications,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME.yaml by default.")
    ] = None,
) -> None:
    """Write a commented pipeline file to start from."""
    from configs.starters import write_starter
    from tasks.applications.registry import PIPELINES

    path = write_starter(application, output, PIPELINES)
    typer.echo(_("wrote {path}; name your files in it, then: onestep check {path}", path=path))


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
    write_data(json.dumps(record, indent=2) + "\n" if as_json else filled(record))


def check(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Check the config and the data against the contract; train nothing."""
    from flows.cli import progress, reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    with progress.watching(console(stderr=as_json), "check"):
        found = check.check(pipeline, workspace)
    if as_json or found.report:
        show(found.record(), as_json, lambda: reports.contract(found.report or {}, workspace.root))
    if found.error or found.prepared is None:
        raise found.error or AssertionError("neither checked nor refused")
    if not as_json:
        typer.echo(_("tokens: {note}", note=translated(found.prepared.tokenized.note)))
        typer.echo(
            _("{file} is valid: {note}", file=file, note=translated(found.prepared.validated.note))
        )


def drift(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Compare the data with what the champion was trained on."""
    from flows.cli import progress, reports
    from flows.run import check, drift
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    with progress.watching(console(stderr=as_json), "drift"):
        found = check.drift(pipeline, workspace)
    none = _(
        "{model_name} has no champion with a profile to compare with",
        model_name=pipeline.model_name,
    )
    record = found.record() if found else {"drift": []}
    show(record, as_json, lambda: reports.drift(found) if found else none)
    drift.require_none(pipeline, found)


def quarantine(
    file: File,
    set_: Overrides = None,
    *,
    fixed: Annotated[
        Path | None, typer.Option("--fixed", help="Take repaired rows back from this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the quarantined rows, or take repaired ones back."""
    from flows.cli import reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    if fixed is None:
        rows = check.quarantined(pipeline, workspace)
        if as_json:
            write_data(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        else:
            console().print(reports.quarantine(rows, workspace.root, pipeline.name))
        return
    from configs.errors import DataError
    from tasks.applications import registry as applications
    from tasks.contract.rows import readmission
    from tasks.contract.sources import splits

    sources = splits.locate(pipeline.data, applications.get(pipeline.application).sources)
    returned = readmission.take_back(pipeline, workspace.root, sources, fixed)
    if as_json:
        problems = [str(problem) for problem in returned.problems]
        typer.echo(json.dumps({"accepted": len(returned.accepted), "problems": problems}, indent=2))
    else:
        typer.echo(
            _(
                "{accepted} rows taken back; `onestep run {file}` uses them",
                accepted=len(returned.accepted),
                file=file,
            )
        )
    if returned.problems:
        raise DataError(returned.problems)


COMMANDS = (init, schema, config, check, drift, quarantine)
