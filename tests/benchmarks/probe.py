"""Run the ``onestep`` command unchanged, and write down when its parts began and ended.

``python -m tests.benchmarks.probe TIMELINE.json run FILE --json`` behaves as
``onestep run FILE --json``. What is patched at first is light; the rest waits until the command has
imported everything, so that what is imported when stays as it is.
"""

from __future__ import annotations

import atexit
import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.cli import main as cli
from flows.servers import prefect as embedded
from tasks import progress
from tasks.tracking import client


class Timeline:
    """Moments, the stages, and the spans in which the command waited for MLflow."""

    def __init__(self) -> None:
        self.marks: dict[str, float] = {}
        self.stages: list[dict[str, Any]] = []
        self.spans: list[tuple[float, float]] = []
        self.connect = 0.0
        self._inside = False

    def mark(self, name: str) -> None:
        """Note the first time that something happens."""
        self.marks.setdefault(name, time.time())

    def hear(self, event: progress.Event) -> None:
        """Note the end of a stage."""
        if isinstance(event, progress.StageFinished):
            stage = {"stage": event.stage, "seconds": event.seconds, "ended": time.time()}
            self.stages.append(stage)

    def waited(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Note how long the main thread spends in a function; inner calls count once."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._inside, began = True, time.time()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside = False
                self.spans.append((began, time.time()))

        return wrapper

    def bracketed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Mark the begin and the end of a function."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.mark(f"{name} begins")
            try:
                return function(*args, **kwargs)
            finally:
                self.mark(f"{name} ends")

        return wrapper

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        record = {
            "marks": self.marks,
            "stages": self.stages,
            "spans": self.spans,
            "connect": self.connect,
        }
        path.write_text(json.dumps(record), encoding="utf-8")


def install(timeline: Timeline) -> None:
    """Patch what the command imports by name later on."""
    embedded.prefect_api = _server(timeline, embedded.prefect_api)
    client.connect = _connecting(timeline, client.connect)
    progress.listening = _listening(timeline, progress.listening)


def _server(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def prefect_api(*args: Any, **kwargs: Any) -> Iterator[str]:
        timeline.mark("server begins")
        with original(*args, **kwargs) as url:
            yield url

    return prefect_api


def _connecting(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(*args: Any, **kwargs: Any) -> Any:
        began = time.time()
        client = original(*args, **kwargs)
        timeline.connect = time.time() - began
        return client

    return connect


def _listening(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    """The command listens from after its imports to the end of the flow."""

    @contextmanager
    def listening(listener: progress.Listener) -> Iterator[None]:
        def heard(event: progress.Event) -> None:
            timeline.hear(event)
            listener(event)

        if "imported" in timeline.marks:
            with original(listener):
                yield
            return
        timeline.mark("imported")
        _install_late(timeline)
        with original(heard):
            yield
        timeline.mark("flow ends")

    return listening


def _install_late(timeline: Timeline) -> None:
    """Patch what the heavy imports brought."""
    from flows.run.run import Run
    from flows.tracking.tracker import Tracker

    Run.__init__ = timeline.bracketed("preparing", Run.__init__)  # type: ignore[method-assign]
    for name, member in list(vars(Tracker).items()):
        if isinstance(member, property) and member.fget:
            setattr(Tracker, name, property(timeline.waited(member.fget)))
        elif callable(member) and not name.startswith("_"):
            setattr(Tracker, name, timeline.waited(member))


def main() -> None:
    """Run the command with a timeline."""
    timeline = Timeline()
    atexit.register(timeline.write, Path(sys.argv.pop(1)))
    install(timeline)
    cli.main()


if __name__ == "__main__":
    main()
