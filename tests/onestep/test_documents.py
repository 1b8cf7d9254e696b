"""The page about Python and the notebook do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pandas as pd
import pytest

import onestep
from tests.docs.markdown import DOCS, blocks
from tests.support.commands import environment
from tests.support.homes import Finished

pytestmark = pytest.mark.xdist_group("onestep")

PAGE = DOCS / "python.md"
NOTEBOOK = DOCS / "notebooks" / "quickstart.ipynb"
SMALLER = """
config["training"]["epochs"] = 1
config.setdefault("gate", {})["beat_baseline"] = False
data = {split: frame.head(64) for split, frame in data.items()}
"""


def test_the_page_can_be_followed(
    outcome: onestep.RunResult,
    home: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("ONESTEP_HOME", str(home))
    names: dict[str, Any] = {}
    for block in blocks(PAGE):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
    assert "training.epochs" in capsys.readouterr().out
    assert isinstance(names["answers"], pd.DataFrame)


def test_every_public_function_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    functions = ("run", "check", "preflight", "load", "models")
    assert [name for name in functions if f"onestep.{name}(" not in text] == []


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(finished.empty(tmp_path / "home")).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    at = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("config ="))
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(SMALLER))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type in ("stream", "error")] == []
    shown = json.dumps(outputs)
    assert "registration" in shown
    assert "Test split, 64 rows" in shown
    assert "@champion" in shown
