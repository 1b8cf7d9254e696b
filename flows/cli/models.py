"""Commands about registered models, and the one that serves the UIs."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import DataError
from configs.language import _, translated
from flows.cli.options import Json, open_workspace, show, write_data, write_data_to

if TYPE_CHECKING:
    from flows.models.prediction import Request
    from tasks.tracking.promotion import ChampionChange
    from tasks.workspace import Workspace

LARGEST_INTEGER = 2**31 - 1
"""The largest version number that a database takes."""
Name = Annotated[str, typer.Argument(help="The registered model.")]
Reference = Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")]
Number = Annotated[int, typer.Argument(help="A version of it.", min=1, max=LARGEST_INTEGER)]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the version.")]


File = Annotated[
    str, typer.Argument(help="CSV, TSV, JSON, JSONL, Parquet or .xlsx file; - is stdin.")
]
Target = Annotated[
    Path | None, typer.Option("--output", help="File to write to; stdout by default.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Rename an input column: text=review.", metavar="NAME=YOURS"),
]
Documents = Annotated[
    Path | None,
    typer.Option("--documents", help="Look questions up in a folder of .txt, .md and .jsonl."),
]
Quotes = Annotated[
    bool | None,
    typer.Option(help="Whether CSV and TSV fields may be quoted; as in training by default."),
]


def predict(
    model: Reference,
    file: File = "-",
    *,
    output: Annotated[str, typer.Option("--to", help="Format: csv, jsonl or xlsx.")] = "",
    target: Target = None,
    column: Columns = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of every label.")
    ] = False,
    documents: Documents = None,
    question: Annotated[
        str | None, typer.Option("--question", help="One question, with --documents.")
    ] = None,
    quotes: Quotes = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the file; detected by default.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Separator of CSV and TSV; detected by default.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
) -> None:
    """Predict rows with a registered model; every row is checked before the model is loaded."""
    from flows.models.prediction import Request

    format_ = {"quotes": quotes, "encoding": encoding, "delimiter": delimiter, "sheet": sheet}
    declared = {name: value for name, value in format_.items() if value is not None}
    if target is not None and target.suffix.lower() == ".xlsx":
        # A CSV file of this name would not open.
        output = output or "xlsx"
    _write(
        Request(model, file, output, column or [], probabilities, documents, question, declared),
        target,
    )


def _write(request: Request, target: Path | None) -> None:
    """Write predictions to a file, or to stdout."""
    from flows.models.prediction import stream

    if request.output == "xlsx" and target is None and sys.stdout.isatty():
        message = _("a workbook is not for a terminal")
        raise DataError.at("--to xlsx", message, _("add --output FILE.xlsx"))
    if target is None:
        for data in stream(open_workspace(), request):
            write_data(data)
    else:
        write_data_to(target, stream(open_workspace(), request))


def models(
    name: Annotated[str | None, typer.Argument(help="One model; all by default.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every verdict and every change of the champion.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List registered models: aliases, metrics, data, age."""
    from flows.cli import tables
    from flows.models import query

    workspace = open_workspace()
    if history:
        events = query.history(workspace, name)
        show(events, as_json, lambda: tables.history(events))
        return
    records = query.registered(workspace, name)
    none = _("no model is registered yet; `onestep run FILE` registers one")
    show(records, as_json, lambda: tables.models(records, time.time()) if records else none)


def promote(name: Name, version: Number, reason: Reason, as_json: Json = False) -> None:
    """Make a version the champion; who and why is kept."""
    from flows.models import query

    workspace = open_workspace()
    _tell(query.promote(workspace, name, version, reason), as_json)
    _deliver(workspace)


def rollback(name: Name, reason: Reason = "no reason given", as_json: Json = False) -> None:
    """Bring the previous champion back; twice undoes it."""
    from flows.models import query

    workspace = open_workspace()
    _tell(query.roll_back(workspace, name, reason), as_json)
    _deliver(workspace)


def _deliver(workspace: Workspace) -> None:
    """Send the event to Prefect; the change of the champion stands if that fails."""
    from flows.servers import outbox

    if late := outbox.deliver_by_hand(workspace):
        typer.echo(late, err=True)


def _tell(change: ChampionChange, as_json: bool) -> None:
    if change.note:
        typer.echo(translated(change.note), err=True)
    if as_json:
        typer.echo(json.dumps(asdict(change), indent=2))
        return
    instead = _(" instead of version {before}", before=change.before) if change.before else ""
    typer.echo(
        _(
            "models:/{change.name}/{change.version} is @champion{instead}",
            instead=instead,
            change=change,
        )
    )
    if change.verdict:
        typer.echo(_("the gate had said: {verdict}", verdict=translated(change.verdict)))


def lineage(model: Reference, as_json: Json = False) -> None:
    """Tell what a version was made from, and when."""
    from flows.cli import tables
    from flows.models import query

    record = query.lineage(open_workspace(), model)
    show(record, as_json, lambda: tables.lineage(record))


def reproduce(name: Name, version: Number, as_json: Json = False) -> None:
    """Make a version again, and compare the two."""
    from flows.cli import tables
    from flows.models import reproduction

    found = reproduction.reproduce(open_workspace(), name, str(version))
    show(found.record(), as_json, lambda: tables.reproduced(found))


def export(
    model: Reference,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Write a version as a plain folder of Transformers, with a model card."""
    from flows.models import export as exports

    exports.export(open_workspace(), model, folder)
    typer.echo(
        _(
            "{folder}: weights, tokenizer and {card}; add a licence to the card",
            folder=folder,
            card=exports.CARD,
        )
    )
    typer.echo(f"publish:  hf upload OWNER/NAME {folder}")


def diff(
    first: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")],
    second: Annotated[str, typer.Argument(help="The same, or a version of NAME.")],
    third: Annotated[str, typer.Argument(help="Another version of NAME.")] = "",
    as_json: Json = False,
) -> None:
    """Hold two versions side by side, of one model or of two."""
    from flows.cli import tables
    from flows.models import diff as differences

    one, two = differences.references(first, second, third)
    found = differences.compare(open_workspace(), one, two)
    show(found.record(), as_json, lambda: tables.difference(found))


def serve(
    model: Reference,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 5001,
    max_batch_size: Annotated[
        int, typer.Option(min=1, help="Most rows of several requests that are predicted together.")
    ] = 64,
    max_batch_delay: Annotated[
        float, typer.Option(min=0, max=1000, help="Milliseconds that a batch waits for requests.")
    ] = 5,
    max_queue_size: Annotated[
        int, typer.Option(min=1, help="Most requests that wait; others are answered with 429.")
    ] = 256,
) -> None:
    """Serve a model on loopback, and follow its alias."""
    from flows.models.serving import server
    from flows.models.serving.batching import Limits

    def say(text: str) -> None:
        typer.echo(text)
        sys.stdout.flush()

    limits = Limits(
        batch_size=max_batch_size, delay=max_batch_delay / 1000, queue_size=max_queue_size
    )
    server.serve(open_workspace(), model, port, limits, say)


def ui(
    mlflow_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the MLflow UI.")
    ] = 5000,
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
            typer.echo(_("Ctrl-C ends both."))
        sys.stdout.flush()
        signal.pause()


COMMANDS = (predict, models, promote, rollback, lineage, reproduce, diff, export, serve, ui)
