"""Ctrl-C and SIGTERM in every stage: a quick, clean end, and the next run goes on from there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import (
    Done,
    Running,
    assert_nothing_runs,
    eventually,
    fault,
    members,
    started,
    succeed,
)
from tests.support.homes import Finished, assert_as_if_never_disturbed, recorded_steps, run_states

SIGNS = (
    ("validation", signal.SIGINT),
    ("tokenization", signal.SIGTERM),
    ("fine-tuning", signal.SIGINT),
    ("fine-tuning", signal.SIGTERM),
    ("evaluation", signal.SIGINT),
    ("registration", signal.SIGTERM),
)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SLOW_STEPS = fault("tasks.training.loop:optimizer_step:1", "sleep-0.5")
HANG_SECONDS = 60.0


def reach(stage: str, running: Running, home: Path) -> None:
    """Wait until a run is in a stage; in the middle of the training for fine-tuning."""
    running.says(f"{stage} ...")
    if stage == "fine-tuning":
        before = recorded_steps(home)
        eventually(lambda: recorded_steps(home) >= before + 10, running)


def interrupted(home: Path, file: Path, stage: str, sign: signal.Signals) -> Done:
    """Run the pipeline and signal it in a stage."""
    extra = SLOW_STEPS if stage == "fine-tuning" else None
    with started(home, "run", file, extra=extra) as running:
        reach(stage, running, home)
        running.process.send_signal(sign)
        done = running.wait(HANG_SECONDS)
    assert_nothing_runs(home)
    return done


@pytest.mark.xdist_group("interrupt")
def test_every_stage_ends_at_once_and_is_taken_up_again(finished: Finished, tmp_path: Path) -> None:
    home = finished.empty(tmp_path / "home")
    for stage, sign in SIGNS:
        done = interrupted(home, finished.file, stage, sign)
        assert done.code == CODES[sign], f"{stage}: {done.output}"
        assert "Traceback" not in done.output, f"{stage}: {done.output}"
        assert set(run_states(home)) <= {"KILLED"}, stage
    assert run_states(home) == ["KILLED"]
    assert_as_if_never_disturbed(home, finished)


SENTENCES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
AT_ONCE_SECONDS = 5.0


@pytest.mark.xdist_group("interrupt")
def test_a_stop_of_all_processes_at_once_is_as_quick(finished: Finished, tmp_path: Path) -> None:
    home = finished.empty(tmp_path / "home")
    for sign, word in SENTENCES.items():
        with started(home, "run", finished.file, extra=SLOW_STEPS) as running:
            reach("fine-tuning", running, home)
            for process in members(home):
                process.send_signal(sign)
            done = running.wait(AT_ONCE_SECONDS)
        sentence = f"{word}; the same command goes on from here\n"
        assert (done.code, done.err) == (CODES[sign], sentence)
        assert_nothing_runs(home)
    succeed(home, "run", finished.file)
    assert run_states(home) == ["FINISHED"]


FINALIZER = """
import os, signal, sys, time
from flows.cli import main as cli

class Collected:
    def __del__(self):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        # The handler raises here, where Python ignores exceptions.
        time.sleep(0.01)

def as_prefect_does(number, frame):
    from prefect.exceptions import TerminationSignal
    signal.signal(number, before)
    raise TerminationSignal(signal=number)

def command(**options):
    global before
    if sys.argv[2] == "in a flow":
        before = signal.signal(signal.SIGTERM, as_prefect_does)
    Collected()
    time.sleep(30)

cli.app = command
cli.main()
"""


@pytest.mark.parametrize(
    ("sign", "where", "code"),
    [("SIGINT", "", 130), ("SIGTERM", "", 143), ("SIGTERM", "in a flow", 143)],
)
def test_a_signal_that_falls_into_a_finalizer_is_not_lost(sign: str, where: str, code: int) -> None:
    command = [sys.executable, "-c", FINALIZER, sign, where]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == code, done.stderr
    assert b"Exception ignored" not in done.stderr
