"""Commands about labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import File, Json, Overrides, console, open_workspace


def check(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Hold the config and the data against the contract; train nothing."""
    from flows.cli import reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    found = check.check(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=2))
    elif found.report:
        console().print(reports.contract(found.report, workspace.root))
    if found.error or found.prepared is None:
        raise found.error or AssertionError("neither checked nor refused")
    if not as_json:
        typer.echo(f"tokens: {found.prepared.tokenized.note}")
        typer.echo(f"{file} is valid: {found.prepared.validated.note}")


def drift(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Compare the data with what the champion was trained on."""
    from flows.cli import reports
    from flows.run import check, drift
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    found = check.drift(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(found.record() if found else {"drift": []}, indent=2))
    elif found is None:
        typer.echo(f"{pipeline.model_name} has no champion with a profile to compare with")
    else:
        console().print(reports.drift(found))
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
    """List the rows that were set aside, or take repaired ones back."""
    from flows.cli import reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    if fixed is None:
        rows = check.quarantined(pipeline, workspace)
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
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
        typer.echo(f"{len(returned.accepted)} rows taken back; `onestep run {file}` uses them")
    if returned.problems:
        raise DataError(returned.problems)


COMMANDS = (check, drift, quarantine)
