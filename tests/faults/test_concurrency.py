"""Two runs at once in one home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import Done, assert_nothing_runs, leftovers, started
from tests.support.homes import (
    STEPS,
    Finished,
    aliases,
    assert_as_if_never_disturbed,
    logged_steps,
    losses,
    run_states,
    versions,
)


def two_at_once(home: Path, file: Path, *second: str) -> tuple[Done, Done]:
    """Start the pipeline twice, the second time with more options, and wait for both."""
    command = ("run", file, "--json")
    with started(home, *command) as one, started(home, *command, *second) as two:
        done = one.wait(), two.wait()
    assert_nothing_runs(home)
    assert leftovers(home) == []
    assert [d.code for d in done] == [0, 0], "\n".join(d.output for d in done)
    return done


@pytest.mark.xdist_group("two-identical")
def test_identical_runs_compute_each_stage_once(finished: Finished, tmp_path: Path) -> None:
    home = finished.empty(tmp_path / "home")
    one, two = (json.loads(done.out) for done in two_at_once(home, finished.file))
    for stage, reused in one["reused"].items():
        assert reused != two["reused"][stage], stage
    assert one["metrics"] == two["metrics"] == finished.record["metrics"]
    assert one["uri"] == two["uri"]
    assert one["mlflow_run"] == two["mlflow_run"]
    assert_as_if_never_disturbed(home, finished)


@pytest.mark.xdist_group("two-different")
def test_different_pipelines_do_not_meet(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    options = ("--set", "name=other", "--set", "training.epochs=1")
    options += ("--set", "gate.beat_baseline=false")
    one, two = (json.loads(done.out) for done in two_at_once(home, finished.file, *options))
    assert one["metrics"] == finished.record["metrics"]
    assert two["training"]["epochs"] == 1
    for name in ("reviews", "other"):
        assert (versions(home, name), aliases(home, name)) == ([1], {"champion": 1})
    assert logged_steps(home) == sorted([*range(1, STEPS + 1), *range(1, STEPS // 4 + 1)])
    assert run_states(home) == ["FINISHED", "FINISHED"]
    assert losses(finished.home)[0] != pytest.approx(0)
