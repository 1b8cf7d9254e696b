from __future__ import annotations

import gc
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tasks.processes import children
from tests.support.workers import alive, wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
OWNER = """
import sys, time
from tasks.processes import children
child = children.start([*children.GUARD, *sys.argv[1:]])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_guarded_command_ends_with_a_parent_that_is_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *SLEEPER], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    guard = psutil.Process(int(owner.stdout.readline()))
    wait_until(lambda: len(guard.children()) == 1)
    family = [guard, *guard.children()]
    owner.kill()
    owner.communicate()
    wait_until(lambda: not any(map(alive, family)))


def test_guard_passes_the_exit_code_on() -> None:
    failing = [*children.GUARD, sys.executable, "-c", "raise SystemExit(7)"]
    child = children.start(failing)
    assert child.wait() == 7
    children.stop(child)


def test_stop_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a process that has been left in it, and that does not follow the request."""
    monkeypatch.setattr(children, "GRACE_SECONDS", 0.2)
    log = tmp_path / "log"
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)"
    command = f"{sys.executable} -uc '{stubborn}' & exec sleep 60"
    with log.open("wb") as stream:
        child = children.start(["sh", "-c", command], stdout=stream)
    wait_until(lambda: log.stat().st_size > 0)
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children()]
    children.stop(child)
    wait_until(lambda: not any(map(alive, family)))
    assert child.returncode == -signal.SIGTERM


def test_garbage_is_collected_again_once_modules_are_loaded() -> None:
    with children.no_collection():
        off = gc.isenabled()
    assert (off, gc.isenabled()) == (False, True)
