"""The launcher that ships: one worker in its own process group."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tasks.training.launchers import base
from tasks.training.launchers.local import LocalLauncher


def launch(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalLauncher:
    """Start a worker that runs some code."""
    monkeypatch.setattr(base, "command", lambda folder: [sys.executable, "-c", code])
    launcher = LocalLauncher()
    launcher.start(folder)
    return launcher


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_that_of_the_worker(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = launch(f"print('said'); exit({code})", tmp_path, monkeypatch)
    assert launcher.watch(60) == code
    assert (tmp_path / base.LOG).read_text() == "said\n"
    launcher.stop()


def test_a_stopped_worker_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = launch("input()", tmp_path, monkeypatch)
    assert launcher.watch(0) is None
    worker = launcher._worker
    assert worker is not None
    assert os.getpgid(worker.pid) == worker.pid
    launcher.stop()
    assert launcher.watch(0) not in (None, 0)


def test_a_launcher_may_be_stopped_before_it_starts() -> None:
    LocalLauncher().stop()
