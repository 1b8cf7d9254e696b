"""Commands that train: one step, the pipeline, or by a schedule."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import ConfigError, UserError
from configs.language import _, translated
from flows.cli import stopping
from flows.cli.options import (
    File,
    Fresh,
    Json,
    Overrides,
    console,
    open_workspace,
    show,
    yaml_files,
)

if TYPE_CHECKING:
    from flows.schedule.files import ScheduledPipeline
    from flows.schedule.server import ScheduleEvent


def preflight(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Check, then take exactly one optimizer step and predict the cost of the run."""
    from flows.cli import progress, reports
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    with progress.watching(console(stderr=as_json), "preflight"):
        ready, report = check.preflight(pipeline, workspace)
    if not as_json:
        typer.echo(f"{file}: {translated(ready.validated.note)}")
    show(report, as_json, lambda: reports.preflight(report))


def run(
    file: File,
    set_: Overrides = None,
    fresh: Fresh = False,
    trial: Annotated[
        bool,
        typer.Option("--no-register", help="Register nothing; tell what the gate would decide."),
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Write a timeline of the run to this file; ui.perfetto.dev shows it.",
            metavar="FILE",
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the pipeline: five stages, from labelled text to a registered model."""
    from flows import execution
    from flows.run import inputs
    from flows.run.reading import read
    from tasks.processes import calls

    clock = time.monotonic()
    config = read(file, set_ or [])
    inputs.require(config)
    workspace = open_workspace()
    if trace:
        _start_timeline(trace)
    inputs.quiet()
    if fresh or set_ or inputs.look_new(config, file, workspace.run_page(config.name)):
        calls.prepare()
    screen = console(stderr=as_json)
    from flows.cli import progress, reports

    screen.print(progress.heading(config))
    with stopping.bounded(), progress.watching(screen) as display:
        display.started = clock
        outcome = execution.run(file, set_ or [], fresh=fresh, trial=trial)
    seconds = time.monotonic() - clock
    if as_json:
        typer.echo(json.dumps(outcome.record() | {"seconds": seconds}, indent=2))
    else:
        screen.print(reports.report(outcome, display, seconds))


def _start_timeline(path: Path) -> None:
    from tasks import trace

    try:
        trace.start(path)
    except OSError as error:
        message = _("cannot be written: {error.strerror}", error=error)
        raise UserError.at(path, message) from None


def retrain(
    file: File,
    set_: Overrides = None,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Do what a scheduled run does: run the pipeline if there is a reason to."""
    from flows import execution
    from flows.run import inputs
    from flows.run.reading import read

    inputs.require(read(file, set_ or []))
    open_workspace()
    from flows.cli import progress

    with stopping.bounded(), progress.watching(console(stderr=as_json)):
        done = execution.retrain(file, set_ or [], "scheduled" if scheduled else "manual")
    line = f"{done.pipeline}: {translated(done.note)}"
    typer.echo(json.dumps(done.record(), indent=2) if as_json else line)


def schedule(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Pipeline files, or folders with them.",
            metavar="FILES_OR_FOLDERS...",
            autocompletion=yaml_files,
        ),
    ],
    at_once: Annotated[
        int, typer.Option(min=1, max=64, help="How many runs may go on at once.")
    ] = 1,
    dry_run: Annotated[
        int,
        typer.Option(min=0, max=100, metavar="N", help="Print the next N runs of each, and end."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Run pipelines when they are due, until Ctrl-C; a folder may get more of them meanwhile."""
    from flows.schedule import files, processes

    found, folders = files.find(paths), [path for path in paths if path.is_dir()]
    if not found and (dry_run or not folders):
        raise ConfigError([files.none_yet(paths)])
    if dry_run:
        _show(found, dry_run, as_json)
        return

    def show_table() -> None:
        if found or as_json:
            _show(found, 1, as_json)

    processes.serve(open_workspace(), found, folders, _teller(as_json), at_once, show_table)


def _teller(as_json: bool) -> Callable[[ScheduleEvent], None]:
    """Returns the function that prints events."""
    from flows.cli import reports

    def tell(event: ScheduleEvent) -> None:
        text = json.dumps(event.json()) if as_json else reports.event_line(event)
        typer.echo(text, err=event.kind == "failed" and not as_json)
        sys.stdout.flush()

    return tell


def _show(found: list[ScheduledPipeline], runs: int, as_json: bool) -> None:
    """Print the next runs of each pipeline."""
    from flows.cli import reports
    from flows.schedule import files

    now = datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps(files.listed(found, now, runs)))
    else:
        console().print(reports.served(found, now, runs))


COMMANDS = (preflight, run, retrain, schedule)
