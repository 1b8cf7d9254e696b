"""A tracking server that stops during the training: no step is lost, none is logged twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.commands import (
    Running,
    assert_nothing_runs,
    environment,
    eventually,
    fault,
    leftovers,
    started,
)
from tests.support.homes import (
    STEPS,
    Finished,
    aliases,
    logged_steps,
    losses,
    recorded_steps,
    run_states,
    versions,
)

HALF_A_MINUTE = fault("tasks.training.loop:optimizer_step:1", f"sleep-{30 / STEPS:.2f}")
SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


class Server:
    """A real MLflow server on loopback, over SQLite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        places = [
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            self.folder / "artifacts",
        ]
        address = ["--host", "127.0.0.1", "--port", self.port, "--workers", 1]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *map(str, [*places, *address])],
                env=environment(self.folder, **SETTINGS),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self.answers)

    def answers(self) -> bool:
        """Whether it is up."""
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
            return True
        return False

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to all its processes."""
        os.killpg(self.process.pid, sign)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(finished: Finished, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(finished.template / "mlflow.db", folder)
    running = Server(folder)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def training(home: Path, finished: Finished, server: Server) -> Iterator[Running]:
    """A run whose training has begun."""
    extra = HALF_A_MINUTE | {"MLFLOW_TRACKING_URI": server.uri}
    with started(home, "run", finished.file, extra=extra) as running:
        eventually(lambda: recorded_steps(home) >= 4, running)
        yield running


def assert_complete(home: Path, finished: Finished, server: Server, running: Running) -> None:
    """The run ends well, and the server knows every step once."""
    done = running.wait()
    assert done.code == 0, done.output
    assert logged_steps(server.folder) == list(range(1, STEPS + 1))
    assert logged_steps(server.folder, "train/grad_norm") == list(range(1, STEPS + 1))
    assert logged_steps(server.folder, "validation/loss") == [9, 18, 27, 36]
    assert run_states(server.folder) == ["FINISHED"]
    assert (versions(server.folder), aliases(server.folder)) == ([1], {"champion": 1})
    assert losses(home) == losses(finished.home)
    assert_nothing_runs(home)
    assert leftovers(home) == []


@pytest.mark.xdist_group("outage-stopped")
def test_a_server_that_hangs_for_a_while(
    finished: Finished, server: Server, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    with training(home, finished, server) as running:
        server.signal(signal.SIGSTOP)
        eventually(lambda: recorded_steps(home) >= STEPS - 4, running)
        server.signal(signal.SIGCONT)
        assert_complete(home, finished, server, running)


@pytest.mark.xdist_group("outage-killed")
def test_a_server_that_is_gone_until_after_the_training(
    finished: Finished, server: Server, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    with training(home, finished, server) as running:
        server.kill()
        eventually(lambda: recorded_steps(home) == STEPS, running)
        server.start()
        assert_complete(home, finished, server, running)
        assert "MLflow does not answer" in running.wait().output
