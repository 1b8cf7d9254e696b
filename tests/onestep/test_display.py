"""Drawings as HTML, and the progress cell of a notebook."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Group
from rich.text import Text

from flows.cli.progress import Display
from flows.cli.tables import table
from onestep import display
from tasks.progress import Progress, StageFinished

DRAWING = Group("", table(["name", "value"], [["<b>", 0.5]], "Title"), Text("a < b"))


def test_tables_are_tables_and_text_is_escaped() -> None:
    assert display.html(DRAWING) == (
        "<table><caption>Title</caption><thead><tr>"
        '<th style="text-align:left">name</th><th style="text-align:right">value</th>'
        '</tr></thead><tbody><tr><td style="text-align:left">&lt;b&gt;</td>'
        '<td style="text-align:right">0.5000</td></tr></tbody></table><div>a &lt; b</div>'
    )


def test_text_has_no_colours() -> None:
    assert display.text(Text("red", style="red")) == "red"


def test_a_test_is_no_notebook() -> None:
    assert not display.in_notebook()


@pytest.mark.parametrize("verbose", [True, False])
def test_progress_goes_to_stderr_or_nowhere(
    verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.progress import announce

    with display.progress("reviews", verbose=verbose) as shown:
        announce(StageFinished("validation", False, 1.0, "120 rows"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("120 rows" in printed.err) is verbose
    assert [stage.stage for stage in shown.stages] == ["validation"]


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a cell shows, one text for each time that it is drawn."""
    import IPython.display

    drawn: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            drawn.append(html.data)

    monkeypatch.setattr(IPython.display, "display", lambda *_, **__: Handle())
    return drawn


def test_a_cell_shows_lines_and_a_bar(updates: list[str]) -> None:
    cell = display.Cell()
    shown = Display(cell.console, cell)
    shown(StageFinished("validation", True, 1.0, "120 rows"))
    cell.draw(at_once=True)
    assert "120 rows" in updates[-1]
    assert "<progress" not in updates[-1]
    shown(Progress("started", {"total_steps": 36, "epochs": 4}))
    step = {"step": 9, "epoch": 1.0, "loss": 0.5, "seconds": 0.1, "samples": 8}
    shown(Progress("step", step))
    cell.draw(at_once=True)
    assert '<progress value="9" max="36">' in updates[-1]
    assert "loss 0.5000" in updates[-1]
    shown(StageFinished("fine-tuning", False, 4.0, "36 steps"))
    cell.draw(at_once=True)
    assert "<progress" not in updates[-1]
    assert "120 rows" in updates[-1]


def test_a_cell_is_not_drawn_at_every_step(updates: list[str]) -> None:
    cell = display.Cell()
    for _ in range(50):
        cell.draw(at_once=False)
    assert len(updates) < 5
