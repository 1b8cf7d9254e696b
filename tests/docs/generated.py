"""The pages of the documentation that are written out of the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer.main

from configs import documentation as configuration
from flows.cli import reference as command_line
from flows.cli.main import app
from tasks.applications.registry import PIPELINES
from tasks.contract.rules import reference as contract
from tests.docs.markdown import DOCS

PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "rules.md": lambda: contract.page(PIPELINES),
    DOCS / "reference" / "configuration.md": lambda: configuration.page(PIPELINES),
    DOCS / "reference" / "cli.md": lambda: command_line.page(typer.main.get_command(app)),
}
