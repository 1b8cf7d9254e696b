"""Run the ``onestep`` command unchanged, and write down when its parts began and ended.

``python -m tests.benchmarks.probe TIMELINE.json run FILE --json`` behaves as
``onestep run FILE --json``. The first patches touch light modules only; the others wait until the
command has imported everything, so that what is imported when stays as it is.
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

from flows import cli, embedded
from tasks import tracking

TRACKER = (
    *("watch", "settle", "log_evaluation", "log_contract", "link", "url", "end"),
    *("log_results", "run_id"),
)


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
    """Patch what runs before the heavy imports."""
    embedded.prefect_api = _server(timeline, embedded.prefect_api)
    tracking.connect = _connecting(timeline, tracking.connect)
    console = cli._console

    def imported(*args: Any, **kwargs: Any) -> Any:
        timeline.mark("imported")
        _install_late(timeline)
        return console(*args, **kwargs)

    cli._console = imported


def _server(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def prefect_api(*args: Any, **kwargs: Any) -> Iterator[str]:
        timeline.mark("server begins")
        with original(*args, **kwargs) as url:
            timeline.mark("server ends")
            yield url

    return prefect_api


def _connecting(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(*args: Any, **kwargs: Any) -> Any:
        began = time.time()
        client = original(*args, **kwargs)
        timeline.connect = time.time() - began
        return client

    return connect


def _install_late(timeline: Timeline) -> None:
    """Patch what runs after the heavy imports."""
    if "flows.pipeline" not in sys.modules:
        return
    from flows.run import Run
    from flows.terminal import Display
    from flows.tracker import Tracker

    Run.__init__ = timeline.bracketed("preparing", Run.__init__)  # type: ignore[method-assign]
    Display.close = timeline.bracketed("closing", Display.close)  # type: ignore[method-assign]
    Display.__call__ = _listening(timeline, Display.__call__)  # type: ignore[method-assign]
    for name in TRACKER:
        if method := getattr(Tracker, name, None):
            setattr(Tracker, name, timeline.waited(method))
    setattr(Tracker, "client", property(timeline.waited(vars(Tracker)["client"].fget)))  # noqa: B010


def _listening(timeline: Timeline, original: Callable[..., Any]) -> Callable[..., Any]:
    def draw(display: Any, event: Any) -> None:
        if type(event).__name__ == "StageFinished":
            stage = {"stage": event.stage, "reused": event.reused, "seconds": event.seconds}
            timeline.stages.append(stage | {"ended": time.time()})
        original(display, event)

    return draw


def main() -> None:
    """Run the command with a timeline."""
    timeline = Timeline()
    atexit.register(timeline.write, Path(sys.argv.pop(1)))
    install(timeline)
    cli.main()


if __name__ == "__main__":
    main()
