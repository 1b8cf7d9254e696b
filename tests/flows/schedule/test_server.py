"""A month of schedules in seconds: real policy and loop, a clock and runs that are made up."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from mlflow import MlflowClient

from flows.retraining import ROWS, nothing_to_do
from flows.run.drift import PROFILE
from flows.run.reading import read
from flows.run.run import Run
from flows.schedule.files import Folders, ScheduledPipeline, find
from flows.schedule.server import JobResult, Memory, ScheduleEvent, Server
from flows.stages import STAGES
from tasks.claims import claimed
from tasks.tracking import registry
from tasks.tracking.runs import FINGERPRINT
from tasks.validation import validate
from tasks.workspace import Workspace
from tests.support.made_up_time import Clock, Diary, PowerCut, Works
from tests.support.rows import reviews, write_rows

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("scheduling")
PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def write(folder: Path, name: str, schedule: str, more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    head = f"name: {name}\napplication: sentiment\ndata: {{train: reviews.csv}}\n"
    path.write_text(f"{head}schedule: {{{schedule}}}\n{more}", encoding="utf-8")
    return path


class World:
    """Pipelines that are served for a while, again and again, with one memory."""

    def __init__(self, folder: Path, start: str, minutes: float = 20) -> None:
        self.folder = folder
        self.clock = Clock(at(start))
        self.diary = Diary()
        self.minutes = minutes
        self.codes: list[int] = []
        self.taken: set[str] = set()
        self.works = Works(self.clock, lambda _: self.minutes, self._work)

    def _work(self, name: str) -> JobResult:
        return JobResult(self.codes.pop(0) if self.codes else 0, "done")

    def serve(self, until: str, at_once: int = 1) -> None:
        """Serve until the power is cut."""
        self.clock.cut = at(until)
        memory = Memory(self.folder / "memory")
        pipelines = find([self.folder])
        folders = Folders([self.folder], self, self._complain)
        made_up = (memory, self.works, folders, self.clock, self.diary)
        server = Server(pipelines, *made_up, at_once=at_once)
        with pytest.raises(PowerCut):
            server.serve()

    def take(self, one: ScheduledPipeline) -> bool:
        """Whether the name of a pipeline is free."""
        return one.name not in self.taken

    def leave(self, one: ScheduledPipeline) -> None:
        """Nothing is held."""

    def _complain(self, file: Path, note: str) -> None:
        self.diary(ScheduleEvent("failed", file.stem, self.clock.now(), note))

    def rest(self, until: str) -> None:
        """Nobody serves for a while."""
        self.clock.time = at(until)

    def lines(self, *kinds: str) -> list[str]:
        return self.diary.lines(*kinds)


def test_a_month_of_two_pipelines_across_a_change_of_clocks(tmp_path: Path) -> None:
    write(tmp_path, "nightly", "cron: '30 2 * * *', timezone: Europe/Paris")
    write(tmp_path, "weekly", "cron: '0 3 * * 1', timezone: Europe/Paris")
    world = World(tmp_path, "2026-03-15T12:00", minutes=50)
    world.serve("2026-04-14T12:00")
    started = [e for e in world.diary.events if e.kind == "started"]
    nightly = [e.at.astimezone(PARIS) for e in started if e.pipeline == "nightly"]
    assert [f"{time:%m-%d %H:%M}" for time in nightly] == [
        f"{day:%m-%d} {'03:00' if day.day == 29 and day.month == 3 else '02:30'}"
        for day in (datetime(2026, 3, 16) + timedelta(n) for n in range(30))
    ]
    # The second waits for the first, which takes 50 minutes.
    weekly = [e.at.astimezone(PARIS) for e in started if e.pipeline == "weekly"]
    assert [f"{time:%m-%d %H:%M}" for time in weekly] == [
        "03-16 03:20", "03-23 03:20", "03-30 03:20", "04-06 03:20", "04-13 03:20",
    ]  # fmt: skip
    assert {e.kind for e in world.diary.events} == {"started", "ended"}
    assert world.clock.waits < 200


def test_two_may_run_at_once(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, name, "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00", minutes=60)
    world.serve("2026-05-02T12:00", at_once=2)
    assert world.lines("started") == [
        "02 00:00 a started 02 00:00", "02 00:00 b started 02 00:00", "02 01:00 c started 02 00:00",
    ]  # fmt: skip


def test_what_is_due_during_a_run_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1h")
    world = World(tmp_path, "2026-05-01T00:30", minutes=150)
    world.serve("2026-05-01T07:30")
    assert world.lines() == [
        "01 01:00 a started 01 01:00",
        "01 02:00 a skipped 01 02:00",
        "01 03:00 a skipped 01 03:00",
        "01 03:30 a ended 01 01:00",
        "01 04:00 a started 01 04:00",
        "01 05:00 a skipped 01 05:00",
        "01 06:00 a skipped 01 06:00",
        "01 06:30 a ended 01 04:00",
        "01 07:00 a started 01 07:00",
    ]


def test_or_becomes_one_run_right_after_it(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1h, overlap: coalesce")
    world = World(tmp_path, "2026-05-01T00:30", minutes=150)
    world.serve("2026-05-01T07:30")
    assert world.lines() == [
        "01 01:00 a started 01 01:00",
        "01 02:00 a held 01 02:00",
        "01 03:30 a ended 01 01:00",
        "01 03:30 a started 01 03:00",
        "01 04:00 a held 01 04:00",
        "01 06:00 a ended 01 03:00",
        "01 06:00 a started 01 06:00",
        "01 07:00 a held 01 07:00",
    ]


@pytest.mark.parametrize("overlap", ["skip", "coalesce"])
def test_runs_that_were_missed_are_one(tmp_path: Path, overlap: str) -> None:
    write(tmp_path, "a", f"cron: '0 3 * * *', overlap: {overlap}")
    world = World(tmp_path, "2026-05-01T00:00")
    world.serve("2026-05-02T12:00")
    world.rest("2026-05-09T10:00")
    world.serve("2026-05-11T12:00")
    world.serve("2026-05-11T12:30")
    assert world.lines("started") == [
        "01 03:00 a started 01 03:00",
        "02 03:00 a started 02 03:00",
        "09 10:00 a started 09 03:00",
        "10 03:00 a started 10 03:00",
        "11 03:00 a started 11 03:00",
    ]
    notes = [event.note for event in world.diary.events if event.kind == "started"]
    assert notes == ["", "", "one run for all since 2026-05-03 03:00 UTC", "", ""]


def test_nothing_is_made_up_for_when_serving_begins(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1w")
    world = World(tmp_path, "2026-05-01T00:00")
    world.serve("2026-05-06T23:00")
    assert world.lines() == []


def test_a_run_that_the_power_cut_is_due_again(tmp_path: Path) -> None:
    write(tmp_path, "a", "cron: '0 3 * * *'")
    world = World(tmp_path, "2026-05-01T00:00", minutes=60)
    world.serve("2026-05-01T03:30")
    assert world.works.runs[-1].stopped
    world.rest("2026-05-01T05:00")
    world.serve("2026-05-02T12:00")
    assert world.lines() == [
        "01 03:00 a started 01 03:00",
        "01 05:00 a started 01 03:00",
        "01 06:00 a ended 01 03:00",
        "02 03:00 a started 02 03:00",
        "02 04:00 a ended 02 03:00",
    ]


def test_a_pipeline_that_fails_and_one_whose_process_dies_stop_nothing(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, name, "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00")
    world.codes = [2, -9, 0, 1]
    world.serve("2026-05-04T12:00")
    assert world.lines("ended", "failed") == [
        "02 00:20 a failed 02 00:00",
        "02 00:40 b failed 02 00:00",
        "03 00:20 a ended 03 00:00",
        "03 00:40 b failed 03 00:00",
        "04 00:20 a ended 04 00:00",
        "04 00:40 b ended 04 00:00",
    ]


def test_runs_begin_later_by_the_jitter(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, name, "cron: '0 3 * * *', jitter_minutes: 60")
    world = World(tmp_path, "2026-05-01T00:00", minutes=0.1)
    world.serve("2026-05-31T00:00", at_once=2)
    started = [event for event in world.diary.events if event.kind == "started"]
    late = [(event.at - event.due) / timedelta(minutes=1) for event in started if event.due]
    assert len(late) == 60
    assert 0 <= min(late) < 10
    assert 50 < max(late) <= 60
    for one in find([tmp_path]):
        mine = [event for event in started if event.pipeline == one.name]
        assert [e.at for e in mine] == [one.table.start(e.due) for e in mine if e.due]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Also between runs; and what the new schedule had before the change is not made up for."""
    file = write(tmp_path, "a", "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00")

    def edit(_: str) -> JobResult:
        if len(world.works.runs) == 1:
            write(tmp_path, "a", "cron: '10 0,12 * * *'")
        if len(world.works.runs) == 2:
            file.write_text("name: [", encoding="utf-8")
        if len(world.works.runs) == 3:
            write(tmp_path, "a", "cron: '10 0,12 * * *'")
        return JobResult(0, "done")

    world.works.work = edit
    world.serve("2026-05-03T18:00")
    assert world.lines() == [
        "02 00:00 a started 02 00:00",
        "02 00:20 a ended 02 00:00",
        "02 00:20 a changed",
        "02 12:10 a started 02 12:10",
        "02 12:30 a ended 02 12:10",
        "02 12:30 a failed",
        "03 00:10 a started 03 00:10",
        "03 00:30 a ended 03 00:10",
        "03 12:10 a started 03 12:10",
        "03 12:30 a ended 03 12:10",
    ]
    (failed,) = [event for event in world.diary.events if event.kind == "failed"]
    assert "not valid YAML" in failed.note


def test_another_schedule_after_a_restart_makes_up_for_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a", "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00")
    world.serve("2026-05-02T12:00")
    write(tmp_path, "a", "interval: 1h")
    world.rest("2026-05-08T12:30")
    world.serve("2026-05-08T13:30")
    assert world.lines("started")[1:] == ["08 13:00 a started 08 13:00"]


def test_a_pipeline_that_is_put_into_the_folder_is_taken_up(tmp_path: Path) -> None:
    """Also one that gets its schedule later; what cannot be served is told once."""
    world = World(tmp_path, "2026-05-01T12:00")
    write(tmp_path, "a", "interval: 1d")
    write(tmp_path, "b", "retrain_when: always")
    world.taken = {"d"}

    def put(_: str) -> JobResult:
        if len(world.works.runs) == 1:
            write(tmp_path, "b", "interval: 12h")
            write(tmp_path, "c", "interval: 1x")
            write(tmp_path, "d", "interval: 1h")
        return JobResult(0, "done")

    world.works.work = put
    world.serve("2026-05-03T06:00")
    assert world.lines() == [
        "02 00:00 a started 02 00:00",
        "02 00:20 a ended 02 00:00",
        "02 00:20 c failed",
        "02 00:20 d failed",
        "02 00:20 b added",
        "02 12:00 b started 02 12:00",
        "02 12:20 b ended 02 12:00",
        "03 00:00 a started 03 00:00",
        "03 00:20 a ended 03 00:00",
        "03 00:20 b started 03 00:00",
        "03 00:40 b ended 03 00:00",
    ]
    notes = [event.note for event in world.diary.events if event.kind == "failed"]
    assert "schedule.interval" in notes[0]
    assert notes[1] == "a schedule of the name 'd' is served already"


def test_a_file_that_is_renamed_or_gone_is_followed(tmp_path: Path) -> None:
    file = write(tmp_path, "a", "interval: 1d")
    other = write(tmp_path, "b", "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00")

    def tidy(_: str) -> JobResult:
        if file.exists():
            file.rename(tmp_path / "renamed.yaml")
            other.unlink()
        return JobResult(0, "done")

    world.works.work = tidy
    world.serve("2026-05-03T06:00", at_once=2)
    assert world.lines() == [
        "02 00:00 a started 02 00:00",
        "02 00:00 b started 02 00:00",
        "02 00:20 a ended 02 00:00",
        "02 00:20 b ended 02 00:00",
        "02 00:20 a removed",
        "02 00:20 b removed",
        "02 00:20 a added",
        "03 00:00 a started 03 00:00",
        "03 00:20 a ended 03 00:00",
    ]


def test_a_file_without_its_name_or_its_schedule_is_no_longer_served(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, name, "interval: 1d")
    world = World(tmp_path, "2026-05-01T12:00")

    def edit() -> None:
        if world.clock.waits == 1:
            (tmp_path / "a.yaml").write_text((tmp_path / "b.yaml").read_text("utf-8"), "utf-8")
            write(tmp_path, "b", "retrain_when: always")
        if world.clock.waits == 2:
            (tmp_path / "c.yaml").unlink()

    world.clock.on_waiting = edit
    world.serve("2026-05-02T06:00")
    assert world.lines() == [
        "02 00:00 a removed",
        "02 00:00 b removed",
        "02 00:00 b added",
        "02 00:00 b started 02 00:00",
        "02 00:20 b ended 02 00:00",
        "02 00:20 c removed",
    ]
    notes = [event.note for event in world.diary.events if event.kind == "removed"]
    assert notes == [
        f"{tmp_path}/a.yaml is the file of 'b' now",
        f"{tmp_path}/b.yaml declares no schedule any more",
        f"{tmp_path}/c.yaml is gone",
    ]


def test_a_name_that_was_taken_is_taken_up_when_it_is_free(tmp_path: Path) -> None:
    world = World(tmp_path, "2026-05-01T12:00")
    world.taken = {"a"}
    world.clock.on_waiting = lambda: (
        write(tmp_path, "a", "interval: 1d") if world.clock.waits == 1 else None,
        world.taken.clear() if world.clock.waits == 4 else None,
    )
    world.serve("2026-05-01T20:00")
    assert world.lines() == ["01 12:30 a failed", "01 14:00 a added"]


def test_a_folder_in_which_nothing_is_scheduled_yet_is_served(tmp_path: Path) -> None:
    world = World(tmp_path, "2026-05-01T12:00")
    world.clock.on_waiting = lambda: write(tmp_path, "a", "interval: 1d")
    world.serve("2026-05-02T12:00")
    assert world.lines("added", "started") == ["01 12:30 a added", "02 00:00 a started 02 00:00"]


@contextmanager
def looking(file: Path, workspace: Workspace) -> Iterator[Run]:
    """A run that has only looked at its inputs."""
    with claimed(workspace.locks) as claim:
        yield Run(read(file, []), workspace, claim, STAGES)


class Trainer:
    """Decides by the real rules whether to train, and then registers a version without training."""

    def __init__(self, file: Path, workspace: Workspace, client: MlflowClient) -> None:
        self.file = file
        self.workspace = workspace
        self.client = client
        self.accuracies = [0.8, 0.9, 0.85, 0.95]
        self.best = 0.0

    def __call__(self, name: str) -> JobResult:
        with looking(self.file, self.workspace) as run:
            if reason := nothing_to_do(run):
                return JobResult(0, reason)
            return JobResult(0, f"trained version {self._register(run)}")

    def _register(self, run: Run) -> str:
        run_id, name = run.tracker.run_id(), run.config.model_name
        validated = validate(run.config, run.workspace, run.inputs.sources)
        self.client.set_tag(run_id, ROWS, validated.digest)
        profile = validated.stored.path / "profile.json"
        self.client.log_artifact(run_id, str(profile), str(Path(PROFILE).parent))
        tags = {FINGERPRINT: run.fingerprint, registry.VERDICT: "settled", **run.digests}
        made = registry.create(self.client, name, f"runs:/{run_id}/model", run_id, tags)
        accuracy = self.accuracies[int(made.version) - 1]
        if accuracy > self.best:
            self.best = accuracy
            self.client.set_registered_model_alias(name, "champion", made.version)
        self.client.set_terminated(run_id)
        return str(made.version)


def test_only_rows_that_drifted_are_a_reason(
    tmp_path: Path, store: tuple[Workspace, MlflowClient], base: Path
) -> None:
    workspace, client = store
    file = write(
        tmp_path, "drifting", "interval: 1d, retrain_when: drift", f"model: {{base: {base}}}\n"
    )
    rows, data = reviews(), tmp_path / "reviews.csv"
    write_rows(data, rows)
    train = Trainer(file, workspace, client)
    assert train("drifting").note == "trained version 1"
    assert train("drifting").note == "nothing new: same data digest as version 1"
    write_rows(data, rows[2:])
    assert train("drifting").note.startswith("nothing to do: ")
    write_rows(data, [(f"{text}, as we said and say again", label) for text, label in rows])
    assert train("drifting").note == "trained version 2"


def test_a_month_of_data_that_grows(
    tmp_path: Path, store: tuple[Workspace, MlflowClient], base: Path
) -> None:
    """Exactly the data that is new makes a version: not a new date, name or order of the rows."""
    workspace, client = store
    more = f"model: {{base: {base}}}\ncompute: {{device: cpu, energy: false}}\n"
    file = write(tmp_path, "growing", "cron: '0 3 * * *'", more)
    rows, data = reviews()[:80], tmp_path / "reviews.csv"
    write_rows(data, rows)
    changes: dict[int, Callable[[], object]] = {
        5: lambda: write_rows(data, [*rows, *reviews()[80:100]]),
        9: data.touch,
        12: lambda: shutil.move(shutil.copy(data, tmp_path / "copy.csv"), data),
        # The same rows and one of them again, which the contract drops.
        15: lambda: write_rows(data, [*rows, *reviews()[80:100], rows[0]]),
        20: lambda: write_rows(data, reviews()),
        21: lambda: file.write_text(file.read_text("utf-8") + "seed: 7\n", "utf-8"),
        # As it was on the fifth, which has a version.
        25: lambda: file.write_text(file.read_text("utf-8").replace("seed: 7\n", "")),
    }
    world = World(tmp_path, "2026-05-01T00:00")
    train = Trainer(file, workspace, client)

    def work(name: str) -> JobResult:
        changes.pop(world.clock.now().day, lambda: None)()
        return train(name)

    world.works.work = work
    world.serve("2026-05-16T12:00")
    world.rest("2026-05-18T12:00")
    world.serve("2026-05-31T00:00")
    told = [(e.at.day, e.note) for e in world.diary.events if e.kind == "ended"]
    same, rows_of = "nothing new: same data digest as version", "nothing new: same rows as version"
    assert told == [
        (1, "trained version 1"),
        *((day, f"{same} 1") for day in range(2, 5)),
        (5, "trained version 2"),
        *((day, f"{same} 2") for day in range(6, 15)),
        *((day, f"{rows_of} 2") for day in (15, 16)),
        # Of the two that the outage took, one is made up for.
        *((day, f"{rows_of} 2") for day in (18, 19)),
        (20, "trained version 3"),
        (21, "trained version 4"),
        *((day, f"{same} 4") for day in range(22, 25)),
        *((day, f"{same} 3") for day in range(25, 31)),
    ]
    assert [int(v.version) for v in registry.versions(client, "growing")] == [4, 3, 2, 1]
    assert registry.aliases(client, "growing") == {"champion": 4}
