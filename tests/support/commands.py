"""Run the real ``onestep`` command, and look at what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import warm

ONESTEP = Path(sys.executable).with_name("onestep")
FAULTS = Path(__file__).parent / "faults"
FOREIGN = ("PREFECT_", "MLFLOW_", "ONESTEP_", "PYTEST_", "COV_CORE_")
ONE_PREFECT = "TEST_PREFECT_API_URL"
"""A variable of the test process: the Prefect server of all commands that it starts."""
HANG_SECONDS = 240.0
ORPHAN_SECONDS = 15.0


def environment(home: Path, **extra: str) -> dict[str, str]:
    """This process's environment without settings of its own, and a home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own = {"ONESTEP_HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "COLUMNS": "100"}
    if url := os.environ.get(ONE_PREFECT):
        own["PREFECT_API_URL"] = url
    return kept | own | extra


def fault(place: str, action: str) -> dict[str, str]:
    """Environment that makes a call of the product deadly or slow: see ``sitecustomize.py``."""
    path = [str(FAULTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"ONESTEP_TEST_FAULT": f"{place}:{action}", "PYTHONPATH": os.pathsep.join(path)}


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        """Both streams."""
        return self.out + self.err


def onestep(
    home: Path,
    *arguments: str | Path,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    extra: dict[str, str] | None = None,
) -> Done:
    """Run the command to its end."""
    done = subprocess.run(
        [str(warm.command()), *map(str, arguments)],
        env=environment(home, **(extra or {})),
        cwd=cwd or home.parent,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def succeed(
    home: Path,
    *arguments: str | Path,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    extra: dict[str, str] | None = None,
) -> str:
    """Run the command and return what it printed; anything but exit 0 fails the test."""
    done = onestep(home, *arguments, cwd=cwd, stdin=stdin, extra=extra)
    assert done.code == 0, done.output
    return done.out


@dataclass(frozen=True)
class Running:
    """A command that runs; its output goes to files, so that nobody has to read it."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait(self, seconds: float = HANG_SECONDS) -> Done:
        """Wait for its end."""
        code = self.process.wait(seconds)
        return Done(code, self.out.read_text("utf-8"), self.err.read_text("utf-8"))

    def says(self, text: str) -> None:
        """Wait until it has printed something."""
        eventually(lambda: text in self.out.read_text("utf-8"), self)


@contextmanager
def started(
    home: Path, *arguments: str | Path, extra: dict[str, str] | None = None
) -> Iterator[Running]:
    """Start the command in a session of its own; kill it if the test leaves it behind."""
    stem = f"{home.name}-{time.monotonic_ns()}"
    out, err = home.parent / f"{stem}.out", home.parent / f"{stem}.err"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            [str(ONESTEP), *map(str, arguments)],
            env=environment(home, **(extra or {})),
            cwd=home.parent,
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
            start_new_session=True,
        )
    try:
        yield Running(process, out, err)
    finally:
        process.kill()
        process.wait()


def eventually(
    condition: Callable[[], object], running: Running | None = None, seconds: float = HANG_SECONDS
) -> None:
    """Wait for a condition; a command that ends before it fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        if running is not None and running.process.poll() is not None:
            assert condition(), running.wait().output
            return
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def processes(home: Path) -> list[str]:
    """Command lines of every process that works on a home."""
    return [" ".join(line) for line in map(_line_about(home), psutil.process_iter()) if line]


def members(home: Path) -> list[psutil.Process]:
    """Every process that works on a home."""
    about = _line_about(home)
    return [process for process in psutil.process_iter() if about(process)]


def _line_about(home: Path) -> Callable[[psutil.Process], list[str]]:
    def line(process: psutil.Process) -> list[str]:
        try:
            command = process.cmdline()
            own = warm.home_of(process.pid) or process.environ().get("ONESTEP_HOME")
        except psutil.Error:
            return []
        return command if own == str(home) or any(str(home) in part for part in command) else []

    return line


def assert_nothing_runs(home: Path) -> None:
    """No command, worker or server of a home is left after a while."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while found := processes(home):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def leftovers(home: Path) -> list[str]:
    """Unfinished work and scratch files in a home."""
    partial = [path for path in home.rglob("*") if ".partial" in path.name]
    scratch = [path for path in (home / "tmp").rglob("*") if path.is_file()]
    return [str(path.relative_to(home)) for path in (*partial, *scratch)]
