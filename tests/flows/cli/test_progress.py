"""The bar and the lines that a terminal shows while a command works."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.progress import TaskID

from flows.cli.progress import Display, watching
from tasks.progress import Progress, StageFinished, StageStarted


class Bars:
    """The bars that were shown, by name and length."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float | None]] = []
        self.open = False

    def start(self) -> None:
        assert not self.open
        self.open = True

    def stop(self) -> None:
        self.open = False

    def add_task(self, description: str, *, total: float | None, state: str) -> TaskID:
        self.shown.append((description, total))
        return TaskID(0)

    def update(self, task_id: TaskID, *, completed: float, state: str) -> None:
        assert self.open

    def remove_task(self, task_id: TaskID) -> None:
        assert self.open


@pytest.fixture
def terminal() -> Console:
    return Console(file=StringIO(), force_terminal=True, width=80)


def test_every_stage_has_a_bar_from_its_begin(terminal: Console) -> None:
    bars = Bars()
    display = Display(terminal, bars)
    evaluating: dict[str, Any] = {"done": 10, "total": 40}
    for event in (
        StageStarted("validation"),
        StageFinished("validation", False, 9.0, "120 rows"),
        StageStarted("evaluation"),
        Progress("evaluating", evaluating),
        Progress("evaluating", evaluating | {"done": 20}),
        StageFinished("evaluation", False, 1.0, "accuracy 1.0000"),
    ):
        display(event)
    assert bars.shown == [("validation", None), ("evaluation", None), ("evaluating", 40)]
    assert not bars.open


def test_a_command_has_a_bar_in_a_terminal_and_nothing_elsewhere(terminal: Console) -> None:
    log = Console(file=StringIO(), force_terminal=False, width=80)
    for console in (terminal, log):
        with watching(console, "preflight"):
            pass
    assert isinstance(terminal.file, StringIO)
    assert isinstance(log.file, StringIO)
    assert "preflight" in terminal.file.getvalue()
    assert log.file.getvalue() == ""
