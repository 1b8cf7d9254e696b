"""Packages that are not part of the source tree, installed for one test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

TWO_RANKS = """
import socket, subprocess, time
from tasks.processes import children
from tasks.training import launchers


class TwoRanks:
    def __init__(self):
        self.workers = []

    def start(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        with (folder / launchers.LOG).open("wb") as log:
            for rank in ("1", "0"):
                environment = launchers.environment(meet | {"RANK": rank, "LOCAL_RANK": rank})
                command = launchers.command(folder)
                self.workers.append(children.start(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment))

    def watch(self, seconds):
        time.sleep(seconds)
        codes = [worker.poll() for worker in self.workers]
        return next(filter(None, codes), None if None in codes else 0)

    def stop(self):
        for worker in self.workers:
            children.stop(worker)
"""
"""A launcher that starts two workers, which meet through gloo."""


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: str,
    entry_points: Mapping[str, Mapping[str, str]],
) -> Path:
    """Write a module with its entry points where this process and its children find it.

    Args:
        folder: an empty folder.
        monkeypatch: undoes the installation after the test.
        name: of the module.
        source: its code.
        entry_points: by group and name, the object of the module.
    """
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, extensions in entry_points.items():
        lines.append(f"[{group}]")
        lines += [f"{key} = {name}:{target}" for key, target in extensions.items()]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    file = folder / f"{name}.py"
    file.write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([known] if known else [])]))
    return file
