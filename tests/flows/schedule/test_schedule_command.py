"""``onestep schedule`` and ``onestep retrain`` as a person or a machine uses them."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import (
    Running,
    assert_nothing_runs,
    eventually,
    fault,
    leftovers,
    onestep,
    started,
    succeed,
)
from tests.support.homes import (
    STEPS,
    Finished,
    aliases,
    logged_steps,
    recorded_steps,
    run_states,
    versions,
)
from tests.support.rows import reviews, write_rows

SLOW_STEPS = fault("tasks.training.loop:optimizer_step:1", "sleep-0.5")


@pytest.fixture
def project(finished: Finished, tmp_path: Path) -> Path:
    """A folder with the pipeline, which is due all the time."""
    folder = tmp_path / "project"
    shutil.copytree(finished.file.parent, folder)
    with (folder / "reviews.yaml").open("a", encoding="utf-8") as stream:
        stream.write("schedule: {interval: 2s}\n")
    return folder


def events(running: Running) -> list[dict[str, Any]]:
    """What the schedule has told, after the list of what it serves."""
    lines = running.out.read_text("utf-8").split("\n")[1:-1]
    return [json.loads(line) for line in lines]


def said(running: Running, note: str) -> bool:
    return any(note in event["note"] for event in events(running))


def flow_runs(home: Path, name: str) -> list[tuple[str, str]]:
    """Name and state of the Prefect runs of a flow, in order."""
    connection = sqlite3.connect(f"file:{home / 'prefect' / 'prefect.db'}?mode=ro", uri=True)
    statement = (
        "SELECT r.name, r.state_name FROM flow_run r JOIN flow f ON f.id = r.flow_id "
        "WHERE f.name = ? ORDER BY r.start_time"
    )
    try:
        return connection.execute(statement, (name,)).fetchall()
    finally:
        connection.close()


def cut_the_power(home: Path) -> None:
    """Kill everything that works on a home, at once."""
    for process in [one for one in psutil.process_iter() if _works_on(home, one)]:
        process.kill()


def _works_on(home: Path, process: psutil.Process) -> bool:
    try:
        return process.environ().get("ONESTEP_HOME") == str(home)
    except psutil.Error:
        return False


@pytest.mark.xdist_group("schedule")
def test_a_schedule_trains_what_is_new_and_nothing_else(
    finished: Finished, project: Path, tmp_path: Path
) -> None:
    """And what a power cut left is put right when it is served again."""
    home = finished.copy(tmp_path / "home")
    command = ("schedule", project, "--json")
    with started(home, *command, extra=SLOW_STEPS) as running:
        eventually(lambda: recorded_steps(home) >= 10, running)
        cut_the_power(home)
        assert running.wait().code == -signal.SIGKILL
    assert_nothing_runs(home)
    assert run_states(home) == ["RUNNING"]
    with started(home, *command) as running:
        eventually(lambda: said(running, "same data digest as version 1"), running)
        assert versions(home) == [1]
        write_rows(project / "reviews.csv", [*reviews(), ("a late bus was wonderful", "positive")])
        eventually(lambda: said(running, "same data digest as version 2"), running)
        refused = onestep(home, "schedule", project / "reviews.yaml")
        assert refused.code == 2
        assert "another `onestep schedule` serves it" in refused.err
        running.process.send_signal(signal.SIGINT)
        done = running.wait()
    assert done.code == 130, done.output
    assert_nothing_runs(home)
    assert leftovers(home) == []
    told = [event for event in events(running) if event["event"] != "skipped"]
    assert [e["event"] for e in told[:3]] == ["reconciled", "started", "ended"]
    assert "2 Prefect runs marked as crashed, 1 MLflow runs marked as killed" in told[0]["note"]
    trained = [e["run"]["version"] for e in told if e["run"].get("trained")]
    assert (trained, versions(home)) == ([1, 2], [1, 2])
    assert aliases(home)["champion"] in (1, 2)
    assert set(run_states(home)) == {"FINISHED"}
    assert logged_steps(home) == sorted([*range(1, STEPS + 1)] * 2)
    runs = flow_runs(home, "retraining")
    assert [state for _, state in runs[:3]] == ["Crashed", "Promoted", "Unchanged"]
    assert {name.rsplit("-", 2)[0] for name, _ in runs} == {"reviews"}
    assert {name.rsplit("-", 1)[1] for name, _ in runs} == {"scheduled"}
    assert len({name for name, _ in runs}) == 2
    ended = [state for _, state in flow_runs(home, "onestep")[-3:]]
    assert ended[:2] == ["Crashed", "Promoted"]
    assert ended[2] in ("Promoted", "Not promoted")


@pytest.mark.xdist_group("schedule")
def test_a_failure_is_told_and_the_schedule_goes_on(
    finished: Finished, project: Path, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    (project / "reviews.csv").unlink()
    with started(home, "schedule", project) as running:
        eventually(lambda: running.err.read_text("utf-8").count("reviews failed") >= 2, running)
        running.process.send_signal(signal.SIGTERM)
        done = running.wait()
    assert done.code == 143
    assert "reviews.csv: no such file" in done.err
    assert "Traceback" not in done.output
    assert "every 2s, if changed" in done.out
    assert_nothing_runs(home)


def test_the_next_runs_are_listed(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    record = json.loads(succeed(home, "schedule", project, "--dry-run", "3", "--json"))
    (one,) = record
    assert (one["pipeline"], one["schedule"]["interval"]) == ("reviews", "2s")
    first, second, third = (datetime.fromisoformat(time) for time in one["next"])
    assert second - first == third - second
    assert "every 2s, if changed" in succeed(home, "schedule", project, "--dry-run", "1")


def test_a_folder_without_a_schedule_and_a_broken_file_are_refused(
    finished: Finished, tmp_path: Path
) -> None:
    done = onestep(tmp_path / "home", "schedule", finished.file)
    assert done.code == 2
    assert "no pipeline declares a schedule" in done.err
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\napplication: x\n", "utf-8")
    done = onestep(tmp_path / "home", "schedule", tmp_path)
    assert done.code == 2
    assert "one.yaml:2: application" in done.err
    assert "two.yaml:2: application" in done.err


@pytest.fixture(scope="module")
def trained(
    finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path]]:
    """A home with a version, and a pipeline of one's own to change."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(finished.home, folder / "home")
    shutil.copytree(finished.file.parent, folder / "project")
    yield folder / "home", folder / "project" / "reviews.yaml"
    assert_nothing_runs(folder / "home")


@pytest.mark.xdist_group("retrain")
def test_a_person_retrains_only_for_a_reason(trained: tuple[Path, Path]) -> None:
    home, file = trained
    record = json.loads(succeed(home, "retrain", file, "--json"))
    note = "nothing new: same data digest as version 1"
    assert record == {"pipeline": "reviews", "trained": False, "note": note}
    name, state = flow_runs(home, "retraining")[-1]
    assert (name.split("-")[0], name.split("-")[2], state) == ("reviews", "manual", "Unchanged")
    assert versions(home) == [1]


@pytest.mark.xdist_group("retrain")
def test_always_runs_and_reuses_everything(trained: tuple[Path, Path]) -> None:
    home, file = trained
    record = json.loads(
        succeed(home, "retrain", file, "--set", "schedule.retrain_when=always", "--json")
    )
    assert record["trained"]
    assert all(record["reused"].values())
    assert (record["version"], versions(home)) == (1, [1])
