"""The pages of the documentation that are written out of the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer.main

from flows.cli.main import app
from tasks.applications.registry import PIPELINES
from tests.docs.markdown import DOCS
from tests.docs.reference import commands, configuration, rules

PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "rules.md": lambda: rules.page(PIPELINES),
    DOCS / "reference" / "configuration.md": lambda: configuration.page(PIPELINES),
    DOCS / "reference" / "cli.md": lambda: commands.page(typer.main.get_command(app)),
}
