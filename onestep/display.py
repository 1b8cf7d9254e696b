"""Tables of the command line as text and as HTML, and the progress of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.progress import TaskID
from rich.table import Table
from rich.text import Text

from flows.cli import progress as terminal
from flows.cli.tables import PlainConsole
from tasks.progress import Progress, Update, listening

if TYPE_CHECKING:
    from flows.cli.progress import Display

Drawing = RenderableType
WIDTH = 100
REDRAW_SECONDS = 0.25
CODE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'
CELL = '<td style="text-align:{justify}">{text}</td>'
HEAD = '<th style="text-align:{justify}">{text}</th>'


def text(drawing: Drawing) -> str:
    """A drawing as plain text."""
    console = PlainConsole(file=StringIO(), width=WIDTH, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(drawing)
    return captured.get().rstrip("\n")


def html(drawing: Drawing) -> str:
    """A drawing as HTML: tables as tables, lines as paragraphs."""
    if isinstance(drawing, Group):
        return "".join(map(html, drawing.renderables))
    if isinstance(drawing, Table):
        return _table(drawing)
    line = drawing.plain if isinstance(drawing, Text) else str(drawing)
    return f"<div>{escape(line)}</div>" if line else ""


def _table(table: Table) -> str:
    title = f"<caption>{escape(str(table.title))}</caption>" if table.title else ""
    heads = "".join(_cell(HEAD, column.justify, column.header) for column in table.columns)
    columns = [[_cell(CELL, c.justify, value) for value in c.cells] for c in table.columns]
    rows = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(form: str, justify: str, value: object) -> str:
    shown = value.plain if isinstance(value, Text) else str(value)
    return form.format(justify=justify, text=escape(shown))


class Shown:
    """An object that is shown as text, and in a notebook as HTML."""

    def _drawn(self) -> Drawing:
        raise NotImplementedError

    def __repr__(self) -> str:
        return text(self._drawn())

    def _repr_html_(self) -> str:
        return html(self._drawn())


@contextmanager
def progress(title: str, *, verbose: bool) -> Iterator[Display]:
    """Show a title and the progress of the block, if ``verbose``.

    Yields:
        The display, which knows the time of each stage for the report at the end.
    """
    if verbose and in_notebook():
        shown = _in_cell(title)
    else:
        console = PlainConsole(stderr=True, quiet=not verbose)
        console.print(title)
        shown = terminal.watching(console)
    with shown as drawn:
        yield drawn


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    if (ipython := sys.modules.get("IPython")) is None:
        return False
    return getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def _in_cell(title: str) -> Iterator[Display]:
    cell = Cell()
    cell.console.print(title)
    drawn = terminal.Display(cell.console, cell)

    def listen(event: Update) -> None:
        drawn(event)
        cell.draw(at_once=not isinstance(event, Progress))

    try:
        with listening(listen):
            yield drawn
    finally:
        drawn.close()
        cell.draw(at_once=True)


class Cell:
    """The output of a notebook cell: the lines of ``console``, and a progress bar.

    It implements :class:`flows.cli.progress.Bar`.
    """

    def __init__(self) -> None:
        ipython: Any = import_module("IPython.display")
        self.console = PlainConsole(
            file=StringIO(), record=True, width=WIDTH, force_terminal=True, force_jupyter=False
        )
        self._html = ipython.HTML
        self._handle = ipython.display(ipython.HTML(""), display_id=True)
        self._bar: dict[str, Any] = {}
        self._drawn = 0.0

    def start(self) -> None:
        """Do nothing: the cell exists."""

    def stop(self) -> None:
        """Do nothing: the cell stays."""

    def add_task(self, description: str, *, total: float | None, state: str) -> TaskID:
        self._bar = {"description": description, "total": total, "completed": 0, "state": state}
        return TaskID(0)

    def update(self, task_id: TaskID, *, completed: float, state: str) -> None:
        self._bar |= {"completed": completed, "state": state}

    def remove_task(self, task_id: TaskID) -> None:
        self._bar = {}

    def draw(self, *, at_once: bool) -> None:
        """Show lines and bar: at once, or a few times per second."""
        now = time.monotonic()
        if not at_once and now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        lines = self.console.export_html(clear=False, inline_styles=True, code_format=CODE)
        self._handle.update(self._html(lines + self._bar_html()))

    def _bar_html(self) -> str:
        if not self._bar:
            return ""
        form = '<progress value="{completed}" max="{total}"></progress>'
        # Without a value the bar only moves.
        bar = "<progress></progress>" if self._bar["total"] is None else form.format(**self._bar)
        return f"<div>{self._bar['description']} {bar} {escape(self._bar['state'])}</div>"
