"""The tutorial can be followed: each of its commands runs, in order, with less data and a tiny
model in place of those that it names.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import DOCS, ROOT, blocks, merged, parsed, write_yaml
from tests.support.commands import (
    HANG_SECONDS,
    ONESTEP,
    assert_nothing_runs,
    environment,
    eventually,
)
from tests.support.homes import Finished, aliases, versions
from tests.support.rows import reviews, write_rows
from tests.support.stores import closed_port

# Every command of a first hour, one after the other.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("tutorial")]

SPLITS = {"validation": slice(0, 16), "test": slice(16, 40), "train": slice(40, None)}
"""Of the tiny rows, those in place of each file of the sample: few in the first month."""
SHRUNK: dict[str, Any] = {
    "contract": {"min_rows_per_class": 1, "sample": 0},
    "training": {"epochs": 4, "learning_rate": 5e-3, "precision": "fp32", "seed": 2},
    "evaluation": {"bootstrap_samples": 100},
    "gate": {"rule": "not_worse", "margin": 1.0, "floors": {"accuracy": 0.0}},
    "compute": {"device": "cpu", "threads": 1, "energy": False},
}
READY = {"onestep ui": "Ctrl-C ends both.", "onestep serve": "serving models:/"}
"""Commands that run until they are interrupted, and the last that they say when they begin."""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Reader:
    """Does what the tutorial says, in a clone of its own."""

    def __init__(self, folder: Path, home: Path, base: Path) -> None:
        self.folder = folder
        self.base = base
        path = f"{ONESTEP.parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = environment(home, PATH=path)
        # Ports that something else on this machine may have.
        self.ports = {"5001": str(closed_port())}
        self.ui = f"onestep ui --mlflow-port {closed_port()}"
        self.served: list[subprocess.Popen[bytes]] = []
        self.said: dict[str, str] = {}

    def write(self, name: str, block: Any) -> None:
        """Take over a file that is shown; a pipeline gets a tiny model and few steps."""
        if block.language == "yaml":
            shrunk = merged(SHRUNK, {"model": {"base": str(self.base)}})
            write_yaml(self.folder / name, merged(parsed(block), shrunk))
        else:
            (self.folder / name).write_text(block.text, encoding="utf-8")

    def type(self, line: str) -> None:
        """Run a line to its end, or until it serves."""
        typed = self.ui if line == "onestep ui" else line
        for shown, free in self.ports.items():
            typed = typed.replace(shown, free)
        ready = next((words for start, words in READY.items() if line.startswith(start)), None)
        self.said[line] = self._run(typed) if ready is None else self._serve(typed, ready)

    def _run(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, line: str, ready: str) -> str:
        log = self.folder / f"served-{len(self.served)}.log"
        with log.open("wb") as out:
            self.served.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {line}"],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
        eventually(lambda: ready in log.read_text("utf-8") or self._ended())
        address = ADDRESS.findall(log.read_text("utf-8"))[-1]
        eventually(lambda: _listens(int(address)) or self._ended())
        assert not self._ended(), log.read_text("utf-8")
        return log.read_text("utf-8")

    def _ended(self) -> bool:
        return self.served[-1].poll() is not None

    @contextmanager
    def at_work(self) -> Iterator[Reader]:
        """Press Ctrl-C in every terminal at the end."""
        try:
            yield self
            for process in self.served:
                process.send_signal(signal.SIGINT)
                process.wait(HANG_SECONDS)
        finally:
            for process in self.served:
                process.kill()
                process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def reader(finished: Finished, tmp_path: Path) -> Iterator[Reader]:
    """In a folder that looks like a clone, with little data."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "configs", folder / "configs")
    rows = reviews()
    for split, chosen in SPLITS.items():
        write_rows(folder / "configs" / "samples" / f"sentiment.{split}.csv", rows[chosen])
    home = finished.empty(folder / "mlruns")
    with Reader(folder, home, finished.file.with_name("base")).at_work() as working:
        yield working
    assert_nothing_runs(home)


def test_the_tutorial_can_be_followed(reader: Reader) -> None:
    typed = []
    for block in blocks(DOCS / "tutorial.md"):
        if block.title:
            reader.write(block.title, block)
        for line in block.lines():
            reader.type(line)
            typed.append(line)
    assert {"onestep run shop.yaml", "onestep ui"} <= set(typed)
    home = reader.folder / "mlruns"
    assert versions(home, "shop") == [1, 2]
    assert aliases(home, "shop") == {"champion": 2, "previous": 1}
    answer = json.loads(reader.said[next(line for line in typed if line.startswith("curl"))])
    table = list(csv.DictReader(reader.said["onestep predict shop@champion new.csv"].splitlines()))
    assert answer["predictions"][0]["label"] == table[1]["label"]
