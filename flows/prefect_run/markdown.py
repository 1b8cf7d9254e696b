"""Markdown for the Prefect UI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def gate(record: Mapping[str, Any]) -> Iterator[str]:
    """Tables of what the gate checked, and of the slices that it compared."""
    if checks := record.get("checks"):
        rows = [[c["name"], "passed" if c["passed"] else "**failed**", c["note"]] for c in checks]
        yield table(["check", "result", "found"], rows)
    if slices := record.get("slices"):
        yield table(["slice", "rows", "new", "champion", "drop", "result"], map(_slice, slices))


def _slice(part: Mapping[str, Any]) -> list[str]:
    figures = [f"{part[key]:.4f}" for key in ("challenger", "champion", "drop")]
    result = "**fell too far**" if part["failed"] else "passed" if part["judged"] else "too small"
    return [part["name"], f"{part['rows']:,}", *figures, result]


def failure(name: str, reason: str) -> str:
    """Why a run ended without a model: every problem on a line of its own."""
    lines = "\n".join(f"- {line}" for line in reason.splitlines())
    return f"# {name} failed\n\n{lines}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what is in a cell cannot end it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "&#124;").split())
