"""Follow the documentation as a reader does: write its files, type its commands, press Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.docs.markdown import ROOT, Block, blocks, merged, parsed, write_yaml
from tests.support import warm
from tests.support.commands import HANG_SECONDS, ONESTEP, environment, eventually
from tests.support.stores import closed_port

SHIPPED = ("configs", "automations.yaml", ".env.example")
"""What of a clone the pages name."""
READY = {
    "onestep ui": "Ctrl-C ends both.",
    "onestep serve": "serving models:/",
    "onestep schedule": "next run",
    "docker compose logs": "next run",
}
"""Commands that run until they are interrupted, and the last that they say when they begin."""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
Preparation = Callable[["Reader"], object]


class Reader:
    """Does what pages say, in a folder that looks like a clone.

    Args:
        folder: the clone.
        home: where its runs are kept.
        shrunk: what a pipeline that is shown gets, so that it trains in a second.
    """

    def __init__(self, folder: Path, home: Path, shrunk: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shrunk = shrunk
        path = os.pathsep.join([str(ONESTEP.parent), os.environ["PATH"]])
        self.environment = environment(home, PATH=path)
        # Something else on this machine may have the ports that are shown.
        self.instead = {shown: str(closed_port()) for shown in ("5001", "5050")}
        self.ui = f"onestep ui --mlflow-port {closed_port()}"
        self.served: list[subprocess.Popen[bytes]] = []
        self.said: dict[str, str] = {}

    def follow(
        self,
        page: Path,
        before: Mapping[str, Preparation] | None = None,
        without: tuple[str, ...] = (),
    ) -> None:
        """Do what a page shows, from its top to its end, but for what stood on an earlier page.

        Args:
            page: the document.
            before: what has to have happened before a line, by how the line begins.
            without: how the lines begin that are left out.
        """
        ready, known = before or {}, {*self.said}
        for block in blocks(page):
            exported: dict[str, str] = {}
            if block.title:
                self.write(block.title, block)
            if block.language == "python" and block.text not in self.said:
                # Not from here: of the packages of a clone, this one has only `configs`.
                self.said[block.text] = self._run(f"python -P - <<'END'\n{block.text}END")
            for line, shown in block.session():
                if line in known or line.startswith(without):
                    continue
                for prepare in [ready[start] for start in ready if line.startswith(start)]:
                    prepare(self)
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").partition("=")
                    exported[name] = self._here(value)
                else:
                    self.type(line, refused=shown.startswith("error: "), **exported)

    def write(self, name: str, block: Block) -> None:
        """Take over a file that is shown; a pipeline is shrunk."""
        if block.language == "yaml":
            self.write_pipeline(name, parsed(block))
        else:
            (self.folder / name).write_text(block.text, encoding="utf-8")

    def write_pipeline(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a pipeline that trains for a moment."""
        write_yaml(self.folder / name, merged(record, self.shrunk))

    def type(self, line: str, refused: bool = False, **extra: str) -> None:
        """Run a line to its end, or until it serves; a refused one has to exit with 2."""
        ready = next((READY[start] for start in READY if line.startswith(start)), None)
        typed = self._here(self.ui if line == "onestep ui" else line)
        serves = ready is not None and "--dry-run" not in line
        self.said[line] = (
            self._serve(typed, str(ready)) if serves else self._run(typed, 2 * refused, **extra)
        )

    def interrupt(self) -> None:
        """Press Ctrl-C in every other terminal, and wait until each command has ended."""
        for process in self.served:
            process.send_signal(signal.SIGINT)
            process.wait(HANG_SECONDS)
        self.served.clear()

    def _here(self, text: str) -> str:
        for shown, free in self.instead.items():
            text = text.replace(shown, free)
        return text

    def _run(self, line: str, code: int = 0, **extra: str) -> str:
        path = self.environment["PATH"]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.folder,
            env=self.environment | {"PATH": f"{warm.command().parent}{os.pathsep}{path}"} | extra,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done.stderr if code else done.stdout

    def _serve(self, line: str, ready: str) -> str:
        log = self.folder / f"served-{len(list(self.folder.glob('served-*')))}.log"
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
        ports = [int(port) for port in ADDRESS.findall(log.read_text("utf-8"))]
        eventually(lambda: all(map(_listens, ports)) or self._ended())
        assert not self._ended(), log.read_text("utf-8")
        return log.read_text("utf-8")

    def _ended(self) -> bool:
        return self.served[-1].poll() is not None


@contextmanager
def reading(folder: Path, home: Path, shrunk: Mapping[str, Any]) -> Iterator[Reader]:
    """A reader with a clone; what still serves at the end gets Ctrl-C, and has to obey."""
    for name in SHIPPED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    reader = Reader(folder, home, shrunk)
    try:
        yield reader
        reader.interrupt()
    finally:
        for process in reader.served:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
