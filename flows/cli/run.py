"""Commands that train: one step, or the pipeline."""

from __future__ import annotations

import json
import time

import typer

from flows.cli.options import File, Fresh, Json, Overrides, console, open_workspace


def preflight(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Check, then take exactly one optimizer step and predict the cost of the run."""
    from flows.cli import reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    ready, report = check.preflight(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    typer.echo(f"{file}: {ready.validated.note}")
    console().print(reports.preflight(report))


def run(file: File, set_: Overrides = None, fresh: Fresh = False, as_json: Json = False) -> None:
    """Run the pipeline: five stages, from labelled text to a registered model."""
    from flows import execution
    from flows.run import inputs
    from flows.run.reading import read

    clock = time.monotonic()
    config = read(file, set_ or [])
    inputs.require(config)
    open_workspace()
    screen = console(stderr=as_json)
    title = f"{config.name}: {config.application} from {config.model.origin}"
    screen.print(title, highlight=False)
    from flows.cli import progress, reports

    with progress.watching(screen) as display:
        display.started = clock
        outcome = execution.run(file, set_ or [], fresh=fresh)
    seconds = time.monotonic() - clock
    if as_json:
        typer.echo(json.dumps(outcome.record() | {"seconds": seconds}, indent=2))
    else:
        screen.print(reports.report(outcome, display, seconds))


COMMANDS = (preflight, run)
