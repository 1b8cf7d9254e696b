"""The command that predicts rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import open_workspace


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


COMMANDS = (predict,)
