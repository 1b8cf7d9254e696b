"""What a launcher is: it starts the worker processes of a training, watches and stops them.

To add one, write a class with these three methods and name it in an entry point of the group
``onestep.launchers``; ``compute.launcher`` then takes its name. A class of this package goes into
the table of ``registry.py`` instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

LOG = "worker.log"
"""The file, in the folder of the job, for what the workers print."""
CPU_SETTINGS = {
    # Threads sleep while they wait, so that another busy process does not stall them.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Each batch length makes oneDNN build kernels; keeping all of them costs 10 MB per length and
    # gains nothing.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # Activations go back to the heap instead of the kernel, which would have to zero the pages
    # of the next step.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}
RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class Launcher(Protocol):
    """Runs the workers of one job; each worker runs :func:`command` in :func:`environment`.

    Keep the standard input of a worker open while it runs: when it closes, the worker ends its
    process group. So start the worker in its own session, as
    ``tasks.child_processes.start`` does.
    """

    def start(self, folder: Path) -> None:
        """Start every worker; ``folder`` holds ``job.json``, and ``LOG`` takes their output."""

    def watch(self, seconds: float) -> int | None:
        """Wait for at most ``seconds``.

        Returns:
            None while the workers run; 0 when all have ended well; else the exit code of one that
            failed, negative if a signal ended it. The others may still run.
        """

    def stop(self) -> None:
        """End the workers; may be called at any time, also before ``start``."""


def command(folder: Path) -> list[str]:
    """The command of a worker."""
    return [sys.executable, "-m", "tasks.training.worker", str(folder)]


def environment(rank: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: settings that torch reads when it loads, below the user's own.

    Args:
        rank: ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``, as torchrun sets them;
            without it, there is one worker.
    """
    own = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
    return CPU_SETTINGS | own | dict(rank or {})
