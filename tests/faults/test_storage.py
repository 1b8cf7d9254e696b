"""A disk that takes no more: exit 1 and a way out, and the same command works afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import assert_nothing_runs, fault, leftovers, onestep, succeed
from tests.support.homes import Finished, assert_as_if_never_disturbed


@pytest.mark.parametrize("blocked", ["", "stages", "stages/validation", "locks", "tmp"])
def test_a_file_where_a_folder_must_be(file: Path, tmp_path: Path, blocked: str) -> None:
    home = tmp_path / "home"
    (home / blocked).parent.mkdir(parents=True, exist_ok=True)
    (home / blocked).write_text("in the way", encoding="utf-8")
    done = onestep(home, "check", file)
    assert done.code == 1
    assert str(home / blocked) in done.err
    assert "Traceback" not in done.output
    (home / blocked).unlink()
    assert "is valid" in succeed(home, "check", file)
    assert leftovers(home) == []


def test_a_full_disk_says_so_and_leaves_nothing(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = onestep(
        home, "check", file, extra=fault("tasks.contract.passes.second_pass:write_piece:1", "full")
    )
    assert done.code == 1
    assert "No space left on device; free space" in done.err
    assert leftovers(home) == []
    assert list(home.glob("stages/*/*")) == []
    assert "is valid" in succeed(home, "check", file)


@pytest.mark.xdist_group("full-training")
def test_a_full_disk_ends_a_training(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    full = fault("tasks.training.checkpoints:save_file:2", "full")
    done = onestep(home, "run", finished.file, extra=full)
    assert done.code == 1
    assert "No space left on device" in done.err
    assert "Traceback" not in done.output
    assert_nothing_runs(home)
    assert_as_if_never_disturbed(home, finished)
