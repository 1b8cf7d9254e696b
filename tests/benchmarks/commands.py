"""Run a ``onestep`` command as a user does, and take its time apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.store import lock, read_json
from tasks.training import launchers
from tests.benchmarks.options import HERE, ROOT

WORK = ("training", "evaluation")
"""What a pipeline is for; everything else is overhead."""


@dataclass(frozen=True)
class Timed:
    """A finished command.

    Attributes:
        record: what it printed, from JSON.
        seconds: of the whole process.
        parts: seconds by part; they add up to the whole. Empty for other commands than ``run``.
        connect: seconds that MLflow took to start in the background.
    """

    record: dict[str, Any]
    seconds: float
    parts: dict[str, float]
    connect: float

    @property
    def overhead(self) -> float:
        """Everything that is neither training nor evaluation."""
        return self.seconds - sum(self.parts[name] for name in WORK)


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that is kept until the servers of the homes below it have ended."""
    with tempfile.TemporaryDirectory(prefix="onestep-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def onestep(home: Path, *arguments: str) -> Timed:
    """Run a command with ``--json`` in a home; its Prefect server has ended when this returns."""
    timeline = home.with_name(f"{home.name}-timeline.json")
    command = [sys.executable, "-m", "tests.benchmarks.probe", str(timeline), *arguments, "--json"]
    began = time.time()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"ONESTEP_HOME": str(home)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    ended = time.time()
    if done.returncode != 0:
        sys.exit(f"onestep {' '.join(arguments)} failed:\n{done.stderr.decode()}")
    _await_server(home)
    record = json.loads(done.stdout)
    found = read_json(timeline)
    parts = take_apart(found, record, began, ended) if found["stages"] else {}
    return Timed(record, ended - began, parts, found["connect"])


def run(home: Path, file: Path, overrides: Sequence[str] = (), *flags: str) -> Timed:
    """Run a pipeline file."""
    return onestep(home, "run", str(file), *_set(overrides), *flags)


def preflight(home: Path, file: Path, overrides: Sequence[str] = ()) -> Timed:
    """Take one optimizer step."""
    return onestep(home, "preflight", str(file), *_set(overrides))


def peer(script: str, folder: Path) -> dict[str, Any]:
    """Run a peer's script over a folder, with our worker's environment; what it measured."""
    command = [sys.executable, str(HERE / script), str(folder)]
    done = subprocess.run(
        command, env=launchers.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{script} failed:\n{done.stderr}")
    result: dict[str, Any] = read_json(folder / "result.json")
    return result


def _set(overrides: Sequence[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def _await_server(home: Path) -> None:
    """The next command should meet no server of the last one."""
    with lock(home / "locks" / "prefect-alive.lock"):
        pass


def take_apart(
    found: dict[str, Any], record: dict[str, Any], began: float, ended: float
) -> dict[str, float]:
    """Seconds by part, in the order of the run."""
    marks, spans = found["marks"], found["spans"]
    trained = 0.0 if record["reused"]["finetuning"] else float(record["training"]["seconds"])
    stages = {s["stage"]: s["seconds"] - _within(spans, s) for s in found["stages"]}
    inside = sum(s["seconds"] for s in found["stages"])
    running = marks["flow ends"] - marks["preparing ends"]
    waited = sum(end - start for start, end in spans)
    outside = waited - sum(_within(spans, s) for s in found["stages"])
    return {
        "Python and configuration": marks["server begins"] - began,
        "imports": marks["imported"] - marks["server begins"],
        "Prefect: start of the flow": marks["preparing begins"] - marks["imported"],
        "digests of inputs": marks["preparing ends"] - marks["preparing begins"],
        "validation": stages["validation"],
        "tokenization": stages["tokenization"],
        "fine-tuning, less training": stages["fine-tuning"] - trained,
        "training": trained,
        "evaluation": stages["evaluation"],
        "registration": stages["registration"],
        "MLflow: waited for": waited,
        "Prefect: between stages": running - inside - outside,
        "exit": ended - marks["flow ends"],
    }


def _within(spans: Sequence[Sequence[float]], stage: dict[str, Any]) -> float:
    """Seconds of the spans that lie in a stage."""
    start, end = stage["ended"] - stage["seconds"], stage["ended"]
    return float(sum(max(0.0, min(e, end) - max(s, start)) for s, e in spans))
