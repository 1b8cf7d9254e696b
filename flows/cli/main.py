"""The ``onestep`` command: its commands, its exit codes, and how it ends on a signal.

Commands import heavy libraries themselves, after the config has been checked.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from configs.errors import OneStepError, UserError
from configs.language import _, translated
from flows.cli import data, models, run
from flows.cli.stopping import ENDINGS, ending, received

if TYPE_CHECKING:
    from io import TextIOWrapper

TERMINATED = ENDINGS[signal.SIGTERM][0]
AGAIN_SECONDS = 0.05
COLLECTION_THRESHOLDS = (100_000, 50, 100)
"""Rarely enough that loading modules, which makes no garbage, is an eighth faster."""


class _Commands(TyperGroup):
    """Handles an interrupt and a closed pipe before typer does."""

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

for _family in (data, run, models):
    for _command in _family.COMMANDS:
        app.command()(_command)


def main() -> NoReturn:
    """Run the command; exit 2 for the user's mistake, 1 for a failure."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _deliver_again
    for stream in (sys.stdout, sys.stderr):
        # Characters that a terminal of another encoding lacks are written as escapes.
        cast("TextIOWrapper", stream).reconfigure(errors="backslashreplace")
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    code = _guarded(lambda: app(standalone_mode=False))
    # Collecting the modules one last time would cost a second or two.
    gc.freeze()
    sys.exit(code)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)


def _deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception was raised in a finalizer, where Python ignores it."""
    numbers = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    # Prefect's own exception has the number.
    number = numbers.get(lost.exc_type) or getattr(lost.exc_value, "signal", None)
    if number is None:
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
        return _stopped(signal.SIGINT)
    except SystemExit as error:
        if error.code == TERMINATED:
            return _stopped(signal.SIGTERM)
        if isinstance(error.code, str):
            typer.echo(_("error: {line}", line=error.code), err=True)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        # Servers that were stopped too are not what failed.
        number = None if isinstance(error, UserError) else received()
        return _failed(error) if number is None else _stopped(number)
    return code if isinstance(code, int) else 0


def _stopped(number: int) -> int:
    code, sentence = ending(number)
    typer.echo(translated(sentence), err=True)
    return code


def _failed(error: Exception) -> int:
    if isinstance(error, OneStepError):
        for line in str(error).splitlines():
            typer.echo(_("error: {line}", line=line), err=True)
        return error.exit_code
    if hasattr(error, "exit_code") and hasattr(error, "show"):
        error.show()
        return int(error.exit_code)
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Print an unexpected error in one line, and write its trace to a file."""
    import traceback

    path = Path(os.environ.get("ONESTEP_HOME", "mlruns")) / "crash.log"
    first = (str(error).splitlines() or [""])[0][:200]
    line = f"{type(error).__name__}: {first}"
    typer.echo(_("error: {line}", line=line), err=True)
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        typer.echo(_("error: the full trace is in {path}", path=path), err=True)
    except OSError:
        traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    main()
