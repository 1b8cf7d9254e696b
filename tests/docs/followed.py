"""Which test runs the commands of which page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.docs.markdown import DOCS, ROOT, blocks

README = ROOT / "README.md"
PIPELINE_FILES = DOCS / "guide" / "pipeline-files.md"
RETRAINING = DOCS / "retraining.md"
OVERVIEW = [
    README,
    DOCS / "index.md",
    DOCS / "installation.md",
    *sorted((DOCS / "guide").glob("*.md")),
    *sorted((DOCS / "concepts").glob("*.md")),
    RETRAINING,
]
"""By ``tests/flows/test_documents_followed.py``, in this order."""
TUTORIAL = DOCS / "tutorial.md"
"""By ``tests/flows/test_tutorial.py``."""
APPLICATIONS = sorted((DOCS / "how-to").glob("*.md"))
"""By ``tests/flows/test_shipped_pipelines.py``."""
OPERATIONS = DOCS / "operations.md"
"""By ``tests/server/test_operations.py``."""

INSTALLING = ("make ", "python3 -m venv", "pip install", ".venv/bin/pre-commit install")
"""Commands that begin like this belong to the installation, and ``make`` runs in CI."""


def lines(pages: Iterable[Path]) -> list[str]:
    """Every command line that the pages show."""
    return [line for page in pages for block in blocks(page) for line in block.lines()]
