"""The ``onestep`` command: parse, call, print, exit code. The only place that prints.

Nothing heavy is imported here: each command imports what it needs after the config is known to
be right.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from flows.cli import models as model_commands
from flows.cli import schedule
from flows.cli.options import File, Fresh, Json, Overrides, open_workspace
from flows.cli.options import console as show
from tasks.errors import OneStepError

INTERRUPTED = 130
TERMINATED = 143
AGAIN_SECONDS = 0.05


class _Commands(TyperGroup):
    """Ends an interrupt and a closed pipe our way, before typer ends them its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None


app = typer.Typer(
    name="onestep",
    cls=_Commands,
    help="One step from labelled text to a registered model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _applications(incomplete: str) -> list[str]:
    from configs.schema import application_names

    return [name for name in application_names() if name.startswith(incomplete)]


@app.command()
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

    path = write_starter(application, output)
    typer.echo(f"wrote {path}; name your files in it, then: onestep check {path}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors."""
    from configs.schema import Pipeline

    typer.echo(json.dumps(Pipeline.model_json_schema(), indent=2))


@app.command()
def config(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Print a pipeline file filled in with every default."""
    from configs.starters import filled
    from flows.run.reading import read

    pipeline = read(file, set_ or [])
    record = pipeline.model_dump(mode="json")
    typer.echo(json.dumps(record, indent=2) if as_json else filled(record), nl=as_json)


@app.command()
def check(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Hold the config and the data against the contract; train nothing."""
    from flows.cli import terminal
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    found = check.check(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=2))
    elif found.report:
        show().print(terminal.contract(found.report, workspace.root))
    if found.error or found.prepared is None:
        raise found.error or AssertionError("neither checked nor refused")
    if not as_json:
        typer.echo(f"tokens: {found.prepared.tokenized.note}")
        typer.echo(f"{file} is valid: {found.prepared.validated.note}")


@app.command()
def drift(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Compare the data with what the champion was trained on."""
    from flows.cli import terminal
    from flows.run import check, drift
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    found = check.drift(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(found.record() if found else {"drift": []}, indent=2))
    elif found is None:
        typer.echo(f"{pipeline.model_name} has no champion with a profile to compare with")
    else:
        show().print(terminal.drift(found))
    drift.require_none(pipeline, found)


@app.command()
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
    from flows.cli import terminal
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    if fixed is None:
        rows = check.quarantined(pipeline, workspace)
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            show().print(terminal.quarantine(rows, workspace.root, pipeline.name))
        return
    from tasks.contract.rows import readmission
    from tasks.contract.sources import frames
    from tasks.errors import DataError

    sources = frames.locate(pipeline.data)
    returned = readmission.take_back(pipeline, workspace.root, sources, fixed)
    if as_json:
        problems = [str(problem) for problem in returned.problems]
        typer.echo(json.dumps({"accepted": len(returned.accepted), "problems": problems}, indent=2))
    else:
        typer.echo(f"{len(returned.accepted)} rows taken back; `onestep run {file}` uses them")
    if returned.problems:
        raise DataError(returned.problems)


@app.command()
def preflight(file: File, set_: Overrides = None, as_json: Json = False) -> None:
    """Check, then take exactly one optimizer step and predict the cost of the run."""
    from flows.cli import terminal
    from flows.run import check
    from flows.run.reading import read

    pipeline, workspace = read(file, set_ or []), open_workspace()
    ready, report = check.preflight(pipeline, workspace)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    typer.echo(f"{file}: {ready.validated.note}")
    show().print(terminal.preflight(report))


@app.command()
def run(file: File, set_: Overrides = None, fresh: Fresh = False, as_json: Json = False) -> None:
    """Run the pipeline: five stages, from labelled text to a registered model."""
    from flows import execution
    from flows.run import inputs
    from flows.run.reading import read

    clock = time.monotonic()
    config = read(file, set_ or [])
    inputs.require(config)
    open_workspace()
    console = show(stderr=as_json)
    title = f"{config.name}: {config.application} from {config.model.origin}"
    console.print(title, highlight=False)
    from flows.cli import terminal

    with terminal.watching(console) as display:
        display.started = clock
        outcome = execution.run(file, set_ or [], fresh=fresh)
    seconds = time.monotonic() - clock
    if as_json:
        typer.echo(json.dumps(outcome.record() | {"seconds": seconds}, indent=2))
    else:
        console.print(terminal.report(outcome, display, seconds))


for _command in schedule.COMMANDS:
    app.command()(_command)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")],
    file: Annotated[
        str, typer.Argument(help="CSV, TSV, JSON, JSONL or Parquet file; - is stdin.")
    ] = "-",
    *,
    output: Annotated[str, typer.Option("--to", help="Format: csv or jsonl.")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Rename an input column: text=review.", metavar="NAME=YOURS"),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of every label.")
    ] = False,
    documents: Annotated[
        Path | None,
        typer.Option("--documents", help="Look questions up in a folder of .txt, .md and .jsonl."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", help="One question, with --documents.")
    ] = None,
) -> None:
    """Predict rows with a registered model, streaming in and out."""
    from flows.models.prediction import Request, stream

    request = Request(model, file, output, column or [], probabilities, documents, question)
    for line in stream(open_workspace(), request):
        sys.stdout.write(line)
        sys.stdout.flush()


for _command in model_commands.COMMANDS:
    app.command()(_command)


@app.command()
def ui(
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    json_: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """Serve the Prefect and MLflow UIs on loopback until Ctrl-C."""
    from flows.servers.ui import serve

    with serve(open_workspace(), mlflow_port) as addresses:
        if json_:
            typer.echo(json.dumps(addresses))
        else:
            typer.echo(f"Prefect  {addresses['prefect']}")
            typer.echo(f"MLflow   {addresses['mlflow']}")
            typer.echo("Ctrl-C ends both.")
        sys.stdout.flush()
        signal.pause()


def main() -> NoReturn:
    """Run the command; exit 2 for the user's mistake, 1 for a failure."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _deliver_again
    code = _guarded(lambda: app(standalone_mode=False))
    # Collecting the modules one last time would cost a second or two.
    gc.freeze()
    sys.exit(code)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)


def _deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception fell into a finalizer, where Python ignores it."""
    numbers = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    if (number := numbers.get(lost.exc_type)) is None:
        sys.__unraisablehook__(lost)
        return
    again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _guarded(command: Callable[[], object]) -> int:
    try:
        code = command()
    except typer.Exit as error:
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; the same command goes on from here", err=True)
        return INTERRUPTED
    except Exception as error:
        return _failed(error)
    return code if isinstance(code, int) else 0


def _failed(error: Exception) -> int:
    if isinstance(error, OneStepError):
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        return error.exit_code
    if hasattr(error, "exit_code") and hasattr(error, "show"):
        error.show()
        return int(error.exit_code)
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """A failure that nobody foresaw: one line here, the whole trace in a file."""
    import traceback

    path = Path(os.environ.get("ONESTEP_HOME", "mlruns")) / "crash.log"
    first = (str(error).splitlines() or [""])[0][:200]
    typer.echo(f"error: {type(error).__name__}: {first}", err=True)
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        typer.echo(f"error: the full trace is in {path}", err=True)
    except OSError:
        traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    main()
