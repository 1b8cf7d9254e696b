from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.errors import UserError
from flows.schedule.files import Folders, Reservations, find, listed
from tasks.workspace import Workspace


def write(folder: Path, name: str, schedule: str) -> Path:
    path = folder / f"{name}.yaml"
    head = f"name: {name}\napplication: sentiment\ndata: {{train: reviews.csv}}\n"
    path.write_text(f"{head}schedule: {{{schedule}}}\n", encoding="utf-8")
    return path


def test_pipelines_without_a_schedule_and_other_files_are_passed_over(tmp_path: Path) -> None:
    hourly = write(tmp_path, "a", "interval: 1h")
    write(tmp_path, "b", "retrain_when: always")
    (tmp_path / "notes.txt").write_text("not a pipeline", "utf-8")
    assert [(one.name, one.file) for one in find([tmp_path, hourly])] == [("a", hourly)]


def test_every_problem_of_a_folder_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1x")
    write(tmp_path, "b", "cron: 'nonsense'")
    write(tmp_path, "c", "interval: 1d")
    (tmp_path / "d.yml").write_text((tmp_path / "c.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(UserError) as caught:
        find([tmp_path, tmp_path / "missing.yaml"])
    places = [problem.where for problem in caught.value.problems]
    assert places == [
        f"{tmp_path}/a.yaml:4: schedule.interval",
        f"{tmp_path}/b.yaml:4: schedule.cron",
        f"{tmp_path}/d.yml: name",
        f"{tmp_path}/missing.yaml",
    ]


def test_the_next_runs_are_in_the_time_zone_of_the_pipeline(tmp_path: Path) -> None:
    write(tmp_path, "a", "cron: '0 3 * * *', timezone: Asia/Shanghai")
    (found,) = listed(find([tmp_path]), datetime(2026, 5, 1, 12, tzinfo=UTC), 2)
    assert found["next"] == ["2026-05-02T03:00:00+08:00", "2026-05-03T03:00:00+08:00"]


def test_a_pipeline_is_served_once(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1d")
    workspace, pipelines = Workspace.open(tmp_path / "home"), find([tmp_path])
    refusal = pytest.raises(UserError, match="another `onestep schedule` serves it")
    with Reservations(workspace, pipelines), refusal:
        Reservations(workspace, pipelines)
    with Reservations(workspace) as reservations:
        assert reservations.take(pipelines[0])
        assert not Reservations(workspace).take(pipelines[0])
        reservations.leave(pipelines[0])
        with Reservations(workspace, pipelines):
            assert not reservations.take(pipelines[0])


def test_a_folder_tells_what_is_new_and_each_problem_once(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    workspace = Workspace.open(tmp_path / "home")
    with Reservations(workspace) as reservations:
        folders = Folders(
            [tmp_path], reservations, lambda file, note: told.append((file.name, note))
        )
        write(tmp_path, "a", "interval: 1d")
        broken = write(tmp_path, "b", "interval: 1x")
        served = folders.arrivals([])
        assert [one.name for one in served] == ["a"]
        assert [name for name, _ in told] == ["b.yaml"]
        assert "schedule.interval" in told[0][1]
        assert folders.arrivals(served) == []
        assert len(told) == 1
        write(tmp_path, "b", "interval: 12h")
        assert [one.file for one in folders.arrivals(served)] == [broken]
