"""The launcher for one worker on this machine."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from tasks import child_processes
from tasks.training.launchers import base


class LocalLauncher:
    """Starts one worker in its own process group."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        with (folder / base.LOG).open("wb") as log:
            self._worker = child_processes.start(
                base.command(folder), stdout=log, stderr=subprocess.STDOUT, env=base.environment()
            )

    def watch(self, seconds: float) -> int | None:
        assert self._worker is not None
        with suppress(subprocess.TimeoutExpired):
            self._worker.wait(seconds)
        return self._worker.returncode

    def stop(self) -> None:
        if self._worker is not None:
            child_processes.stop(self._worker)
