"""The pages about the runs of a pipeline: each run keeps its own, and an index lists them.

Below ``reports``, ``NAME/RUN.html`` is about a run, ``NAME/RUN.contract.html`` about its data and
``NAME/RUN.json`` is its entry in ``NAME/index.html``; ``NAME.run.html`` is about the latest run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from configs.files import write_atomic
from tasks.contract.report.page import render as render_contract
from tasks.contract.report.record import Report
from tasks.report import index
from tasks.store import lock, read_json, storage_errors, write_json
from tasks.workspace import Workspace

CONTRACT = ".contract.html"
Draw = Callable[[str, str], str]
"""Draws the page about a run, given the addresses of the page about its data and of the index."""


def keep(
    workspace: Workspace,
    name: str,
    fingerprint: str,
    entry: Mapping[str, Any],
    contract: Report,
    draw: Draw | None = None,
) -> Path:
    """Write the pages of a run of the pipeline ``name``, and list it.

    Args:
        entry: what the index shows of the run; see :func:`tasks.report.index.render`.
        contract: the report of its data; empty if its rows were not read.
        draw: None if the run has no result.

    Returns:
        The page about the run; without a result that of its data.
    """
    folder = workspace.root / "reports" / name
    # Two runs of the pipeline may end at once.
    with storage_errors(), lock(workspace.locks / f"pages-{name}.lock"):
        now = datetime.now(UTC)
        run, created = _unused(folder, now, fingerprint), now.isoformat(timespec="seconds")
        data = f"{run}{CONTRACT}" if contract else ""
        if contract:
            write_atomic(folder / data, render_contract({"created": created} | contract))
        if draw:
            latest = workspace.run_page(name)
            _set_aside(latest, name)
            write_atomic(folder / f"{run}.html", draw(data, "index.html"))
            write_atomic(latest, draw(f"{name}/{data}", f"{name}/index.html"))
        page = f"{run}.html" if draw else data
        write_json(folder / f"{run}.json", {**entry, "created": created, "page": page})
        write_atomic(folder / "index.html", index.render(name, _entries(folder)))
    return folder / page


def _unused(folder: Path, moment: datetime, fingerprint: str) -> str:
    """A name of a run that sorts by time."""
    while True:
        run = f"{moment:%Y%m%dT%H%M%SZ}-{fingerprint[:8]}"
        if not any(folder.glob(f"{run}.*")):
            return run
        moment += timedelta(seconds=1)


def _set_aside(latest: Path, name: str) -> None:
    """Keep the page of a version of onestep that had only one for all runs."""
    if latest.exists() and f"{name}/index.html" not in latest.read_text("utf-8"):
        write_atomic(latest.with_name(f"{name}.run.earlier.html"), latest.read_bytes())


def _entries(folder: Path) -> list[dict[str, Any]]:
    """The entries of all runs, newest first; one that is damaged is left out."""
    return [*filter(None, map(_entry, sorted(folder.glob("*.json"), reverse=True)))]


def _entry(path: Path) -> dict[str, Any] | None:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
