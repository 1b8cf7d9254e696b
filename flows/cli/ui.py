"""The command that serves the UIs."""

from __future__ import annotations

import json
import signal
import sys
from typing import Annotated

import typer

from flows.cli.options import open_workspace


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


COMMANDS = (ui,)
