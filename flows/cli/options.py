"""Arguments of several commands, and their output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import DataError
from configs.files import PARTIAL

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.workspace import Workspace


def yaml_files(incomplete: str) -> list[str]:
    """Pipeline files that begin with the typed text."""
    parent = Path(incomplete).parent
    return [str(p) for p in parent.glob("*.y*ml") if str(p).startswith(incomplete)]


File = Annotated[Path, typer.Argument(help="The pipeline's YAML file.", autocompletion=yaml_files)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a key, for example training.epochs=3.", metavar="KEY=VALUE"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Compute every stage again.")]


def open_workspace() -> Workspace:
    """The workspace of the command."""
    from tasks.workspace import Workspace

    return Workspace.open()


def console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, or of 120 columns without one."""
    from flows.cli.tables import PlainConsole

    return PlainConsole(stderr=stderr, width=None if sys.stdout.isatty() else 120)


def write_data(data: str | bytes) -> None:
    """Write what a program or a file takes: in UTF-8, whatever the terminal has."""
    sys.stdout.flush()
    sys.stdout.buffer.write(_bytes(data))
    sys.stdout.buffer.flush()


def write_data_to(target: Path, pieces: Iterable[str | bytes]) -> None:
    """Replace a file once all of its content is there.

    Raises:
        DataError: it cannot be written.
    """
    temporary = target.with_name(target.name + PARTIAL)
    content = iter(pieces)
    # The first piece comes when every row is checked.
    first = next(content, "")
    try:
        with temporary.open("wb") as stream:
            stream.writelines(_bytes(piece) for piece in chain([first], content))
        temporary.replace(target)
    except OSError as error:
        raise DataError.at(target, str(error.strerror or error)) from None
    finally:
        temporary.unlink(missing_ok=True)


def _bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode(errors="backslashreplace")


def show(record: object, as_json: bool, draw: Callable[[], object]) -> None:
    """Print JSON values for scripts, or the text or table of a function for people."""
    drawn = json.dumps(record, indent=2) if as_json else draw()
    if isinstance(drawn, str):
        typer.echo(drawn)
    else:
        console().print(drawn)
