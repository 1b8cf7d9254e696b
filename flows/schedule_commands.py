"""Commands that retrain; ``flows.cli`` adds them to its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.options import File, Json, Overrides, console, open_workspace, yaml_files


def retrain(
    file: File,
    set_: Overrides = None,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Do what a scheduled run does: run the pipeline if there is a reason to."""
    from flows.run import read, require_inputs

    require_inputs(read(file, set_ or []))
    workspace, terminal_console = open_workspace(), console(stderr=as_json)
    from flows.embedded import prefect_api
    from flows.tracker import connection

    with prefect_api(workspace):
        connection(workspace)
        from flows import terminal
        from flows.retraining import retraining

        with terminal.watching(terminal_console):
            # Prefect resolves the state that the flow returns.
            done: Any = retraining(str(file), set_ or [], "scheduled" if scheduled else "manual")
    typer.echo(json.dumps(done.record(), indent=2) if as_json else f"{done.pipeline}: {done.note}")


def schedule(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Pipeline files, or folders with them.",
            metavar="FILES_OR_FOLDERS...",
            autocompletion=yaml_files,
        ),
    ],
    at_once: Annotated[int, typer.Option(min=1, help="How many runs may go on at once.")] = 1,
    dry_run: Annotated[
        int, typer.Option(min=0, metavar="N", help="Print the next N runs of each, and end.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Run pipelines when they are due, until Ctrl-C."""
    from flows import launching, scheduling, terminal

    found, clock = scheduling.find(paths), launching.SystemClock()

    def tell(event: scheduling.Event) -> None:
        text = json.dumps(event.json()) if as_json else terminal.happened(event)
        typer.echo(text, err=event.kind == "failed" and not as_json)
        sys.stdout.flush()

    def show(runs: int) -> None:
        if as_json:
            typer.echo(json.dumps(scheduling.listed(found, clock.now(), runs)))
        else:
            console().print(terminal.served(found, clock.now(), runs))

    if dry_run:
        show(dry_run)
        return
    with launching.ready(open_workspace(), found) as (memory, launch, note):
        show(1)
        if note:
            tell(scheduling.Event("reconciled", "workspace", clock.now(), note))
        scheduling.Server(found, memory, launch, clock, tell, at_once).serve()


COMMANDS: tuple[Callable[..., None], ...] = (retrain, schedule)
