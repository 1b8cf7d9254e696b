"""Live progress in a terminal: a line per stage, and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from configs.language import _, translated
from tasks.progress import Notice, StageFinished, StageStarted, Update, listening
from tasks.progress import Progress as Training
from tasks.report.page import duration, size

if TYPE_CHECKING:
    from configs.schema import Pipeline

PLAIN_SECONDS = 10.0
AFTER_TRAINING_SECONDS = 5.0
"""Time of loading the model, plots and registration, measured on two cores."""


def heading(config: Pipeline) -> str:
    """What a run makes out of what."""
    return _("{config.name}: {config.application} from {config.model.origin}", config=config)


def padded(text: str, width: int) -> str:
    """Text with blanks up to a width, in columns of a terminal: a Chinese character has two."""
    return text + " " * (width - cell_len(text))


class Bar(Protocol):
    """The part of rich's progress bar that is used."""

    def start(self) -> None: ...
    def add_task(self, description: str, *, total: float | None, state: str) -> TaskID: ...
    def update(self, task_id: TaskID, *, completed: float, state: str) -> None: ...
    def remove_task(self, task_id: TaskID) -> None: ...
    def stop(self) -> None: ...


class Display:
    """Draws events as they come; plain lines where there is no terminal.

    ``bar`` shows the training; by default it is a bar in the terminal.
    """

    def __init__(self, console: Console, bar: Bar | None = None) -> None:
        self.console = console
        self.bar = bar or Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None
        self.shown = ""
        self.pace = Pace()
        self.stages: list[StageFinished] = []
        self.started = time.monotonic()
        self.predicted: float | None = None

    def __call__(self, event: Update) -> None:
        if isinstance(event, StageStarted):
            if self.console.is_terminal:
                self.show(translated(event.stage))
            else:
                self.console.print(f"{translated(event.stage)} ...")
        elif isinstance(event, StageFinished):
            self._stage(event)
        elif isinstance(event, Notice):
            self.console.print(_("  note: {text}", text=translated(event.text)), style="yellow")
        else:
            self._training(event)

    def _stage(self, event: StageFinished) -> None:
        self.close()
        self.stages.append(event)
        how = _("reused") if event.reused else _("done")
        line = Text.assemble(
            (padded(translated(event.stage), 13), "bold"),
            (padded(how, 7), "cyan" if event.reused else "green"),
            f"{duration(event.seconds):>8}  ",
            translated(event.note),
        )
        self.console.print(line, soft_wrap=True)

    def _training(self, event: Training) -> None:
        values = event.values
        if event.kind == "forecast":
            self._forecast(values)
        elif event.kind == "started":
            self.pace = Pace(total=values["total_steps"], epochs=values["epochs"])
            self.show(_("training"), values["total_steps"])
        elif event.kind == "resumed":
            self.console.print(_("  resumed after step {step}", step=values["step"]))
        elif event.kind == "step":
            self._step(values)
        elif event.kind == "validation":
            self._validation(values)
        elif event.kind == "evaluating":
            self.show(_("evaluating"), values["total"])
            self._advance(
                values["done"],
                _("{done:,} of {total:,} rows", done=values["done"], total=values["total"]),
            )

    def _forecast(self, values: Mapping[str, Any]) -> None:
        left = values["training_seconds"] + values["test_seconds"] + AFTER_TRAINING_SECONDS
        self.predicted = time.monotonic() - self.started + left
        seconds, memory = duration(values["training_seconds"]), size(values["peak_memory"])
        line = _(
            "  expected: {steps} steps in {seconds}, {memory} at the peak",
            steps=values["steps"],
            seconds=seconds,
            memory=memory,
        )
        self.console.print(line)

    def _step(self, values: Mapping[str, Any]) -> None:
        state = self.pace.take(values)
        self._advance(values["step"], state)
        if not self.console.is_terminal and self.pace.due():
            self.console.print(
                _(
                    "  step {step}/{total}  {state}",
                    step=values["step"],
                    total=self.pace.total,
                    state=state,
                )
            )

    def _validation(self, values: Mapping[str, Any]) -> None:
        metrics = values["metrics"]
        shown = "  ".join(f"{k} {metrics[k]:.4f}" for k in ("loss", *list(metrics)[:2]))
        best = _("  best so far") if values["improved"] else ""
        line = _(
            "  epoch {epoch}/{epochs}  validation {shown}{best}",
            epoch=values["epoch"],
            epochs=self.pace.epochs,
            shown=shown,
            best=best,
        )
        self.console.print(line)

    def show(self, name: str, total: int | None = None) -> None:
        """Show a bar, unless it is the one that is shown; without a total it only moves."""
        if name != self.shown:
            self.close()
            self.bar.start()
            self.task, self.shown = self.bar.add_task(name, total=total, state=""), name

    def _advance(self, done: int, state: str) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=done, state=state)

    def close(self) -> None:
        """Remove the bar."""
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.bar.stop()
            self.task, self.shown = None, ""


class Pace:
    """Speed and time left, averaged over the recent steps."""

    def __init__(self, total: int = 0, epochs: int = 0) -> None:
        self.total = total
        self.epochs = epochs
        self.seconds = 0.0
        self.samples = 0.0
        self.steps = 0.0
        self._printed = time.monotonic()

    def take(self, values: Mapping[str, Any]) -> str:
        """Count a step; return epoch, loss, samples/s and time left."""
        keep = 0.98
        self.seconds = keep * self.seconds + values["seconds"]
        self.samples = keep * self.samples + values["samples"]
        self.steps = keep * self.steps + 1
        left = (self.total - values["step"]) * self.seconds / self.steps
        return _(
            "epoch {values[epoch]:.2f}/{epochs}  loss {values[loss]:.4f}  {samples:.0f} "
            "samples/s  {left} left",
            epochs=self.epochs,
            samples=self.samples / max(self.seconds, 1e-09),
            left=duration(left),
            values=values,
        )

    def due(self) -> bool:
        """Whether a plain line should be printed now."""
        if time.monotonic() - self._printed < PLAIN_SECONDS:
            return False
        self._printed = time.monotonic()
        return True


@contextmanager
def watching(console: Console, name: str = "") -> Iterator[Display]:
    """Show the progress of the block, in a terminal with a bar of that name until there is more."""
    display = Display(console)
    if name and console.is_terminal:
        display.show(name)
    try:
        with listening(display):
            yield display
    finally:
        display.close()
