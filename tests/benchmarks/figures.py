"""Figures as tables: aligned for a terminal, or Markdown for the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDTH = 130
LIBRARIES = ("torch", "transformers", "prefect", "mlflow")


@dataclass(frozen=True)
class Figures:
    """One table.

    Attributes:
        title: what was measured.
        columns: names; the first column holds words, the others numbers.
        rows: cells.
        note: under what conditions.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def markdown(figures: Figures) -> str:
    """The table in Markdown."""
    rule = ["---", *("---:" for _ in figures.columns[1:])]
    lines = ["| " + " | ".join(row) + " |" for row in (figures.columns, rule, *figures.rows)]
    return "\n".join([f"**{figures.title}**", "", *lines, "", *filter(None, [figures.note])])


def table(figures: Figures) -> Table:
    """The table for a terminal."""
    drawn = Table(
        title=figures.title,
        title_justify="left",
        caption=figures.note or None,
        caption_justify="left",
        box=None,
        pad_edge=False,
    )
    for index, name in enumerate(figures.columns):
        drawn.add_column(name, justify="right" if index else "left", no_wrap=True)
    for row in figures.rows:
        drawn.add_row(*row)
    return drawn


def show(figures: Figures, as_markdown: bool) -> None:
    """Print one table."""
    if as_markdown:
        print(markdown(figures) + "\n", flush=True)
    else:
        console = Console(highlight=False, width=WIDTH)
        console.print(table(figures))
        console.print()


def seconds(value: float) -> str:
    """Seconds with one decimal."""
    return f"{value:.1f}"


def conditions() -> str:
    """The machine, its load and the versions that a figure depends on."""
    cores = len(os.sched_getaffinity(0))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"{cores} cores ({_processor()}), load {load:.1f}; Python {python}, {libraries}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
