"""Which pages are followed command by command, and what is left to others there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.docs.markdown import DOCS, ROOT, blocks

README = ROOT / "README.md"
OVERVIEW = [
    README,
    DOCS / "index.md",
    *sorted((DOCS / "concepts").glob("*.md")),
    DOCS / "retraining.md",
]
"""By ``tests/flows/test_documents_followed.py``."""
TUTORIAL = DOCS / "tutorial.md"
"""By ``tests/flows/test_tutorial.py``."""
APPLICATIONS = sorted((DOCS / "how-to").glob("*.md"))
"""By ``tests/flows/test_shipped_pipelines.py``."""
OPERATIONS = DOCS / "operations.md"
"""By ``tests/server/test_operations.py``."""

INSTALLING = ("make ", "python3 -m venv", "pip install", ".venv/bin/pre-commit install")
"""Lines that begin so are run by whoever installs, and ``make check`` and ``make test`` by CI."""
ON_OTHER_PAGES = (*INSTALLING, "cp .env.example", "docker ", "onestep predict questions")
"""Lines of the overview that need servers, or the model of another page."""


def lines(pages: Iterable[Path]) -> list[str]:
    """Every line that pages tell to type."""
    return [line for page in pages for block in blocks(page) for line in block.lines()]
