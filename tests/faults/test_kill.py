"""kill -9 at the worst moments: the same command again ends as if nothing had happened.

Each test lives through several deaths in one home, so that what one leaves behind meets the next.
"""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import Done, assert_nothing_runs, fault, started
from tests.support.homes import (
    Finished,
    aliases,
    assert_as_if_never_disturbed,
    run_states,
    stage_folders,
    versions,
)

TOKENIZING = "tasks.applications.shared.classification.application:ClassificationTokens.encode:2"
MID_EPOCH = "tasks.training.loop:optimizer_step:13"
CHECKPOINT = "tasks.training.checkpoints:commit_folder:1"
PUBLISHING = "tasks.store:folder_files:3"
UPLOAD = "mlflow.store.artifact.local_artifact_repo:shutil_copytree_without_file_permissions:1"
ALIAS = "tasks.tracking.registry:set_alias:1"
REGISTERED = "flows.prefect_run.flow:report_outcome:1"
KILLED = -signal.SIGKILL


def run_with(home: Path, file: Path, place: str, victim: str) -> Done:
    """Run the pipeline until a fault strikes."""
    with started(home, "run", file, extra=fault(place, f"kill-{victim}")) as running:
        done = running.wait()
    assert_nothing_runs(home)
    return done


@pytest.mark.xdist_group("kill-command")
def test_the_command_dies_in_every_stage(finished: Finished, tmp_path: Path) -> None:
    home = finished.empty(tmp_path / "home")
    for place, victim in ((TOKENIZING, "both"), (PUBLISHING, "self"), (UPLOAD, "self")):
        done = run_with(home, finished.file, place, victim)
        assert done.code == KILLED, done.output
    assert versions(home) == []
    assert run_with(home, finished.file, ALIAS, "self").code == KILLED
    assert (versions(home), aliases(home)) == ([1], {})
    assert run_with(home, finished.file, REGISTERED, "self").code == KILLED
    (note,) = (home / "outbox").iterdir()
    assert (aliases(home), told(home, note.stem)) == ({"champion": 1}, [])
    assert_as_if_never_disturbed(home, finished)
    assert told(home, note.stem) == ["onestep.model.promoted"]
    assert not note.exists()


def told(home: Path, identity: str) -> list[str]:
    """What the Prefect server of a home knows as an event; it has ended, and stored them all."""
    database = f"file:{home / 'prefect' / 'prefect.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        statement = "SELECT event FROM events WHERE id = ?"
        return [event for (event,) in connection.execute(statement, [identity])]


@pytest.mark.xdist_group("kill-training")
def test_the_command_dies_during_training_alone_or_with_its_worker(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    for place in (MID_EPOCH, CHECKPOINT):
        for victim in ("parent", "both"):
            done = run_with(home, finished.file, place, victim)
            assert done.code == KILLED, done.output
            (folder,) = stage_folders(home, "finetuning")
            assert folder.name.endswith(".partial")
    assert_as_if_never_disturbed(home, finished)


@pytest.mark.xdist_group("kill-worker")
def test_the_worker_dies_and_the_command_says_so(finished: Finished, tmp_path: Path) -> None:
    home = finished.empty(tmp_path / "home")
    done = run_with(home, finished.file, TOKENIZING, "self")
    assert done.code == 1, done.output
    assert "a process of the run was killed by SIGKILL" in done.err
    assert "Traceback" not in done.err
    for place in (MID_EPOCH, CHECKPOINT):
        done = run_with(home, finished.file, place, "self")
        assert done.code == 1, done.output
        assert "the training process was killed by SIGKILL" in done.err
        assert "run again to resume" in done.err
        assert "Traceback" not in done.err
        assert run_states(home) == ["FAILED"]
    assert_as_if_never_disturbed(home, finished)
