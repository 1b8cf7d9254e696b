from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.training import events
from tasks.training.events import EventLog, Tail

STEPS = 6


def write_steps(folder: Path, first: int, last: int, loss: float = 0.0) -> None:
    with EventLog(folder) as log:
        for step in range(first, last + 1):
            log.append("step", step=step, loss=loss + step)


def resume(folder: Path, step: int) -> None:
    with EventLog(folder) as log:
        log.append("resumed", step=step, epoch=0)


def test_events_come_back_as_they_were_appended(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append("started", device="cpu")
        log.append("step", step=1, loss=0.1 + 0.2)
    first, second = Tail(tmp_path).read()
    assert (first["kind"], first["device"]) == ("started", "cpu")
    assert (second["kind"], second["step"], second["loss"]) == ("step", 1, 0.1 + 0.2)
    assert second["time"] >= first["time"]


def test_each_event_is_readable_before_the_next(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    with EventLog(tmp_path) as log:
        for step in range(3):
            log.append("step", step=step)
            assert [record["step"] for record in tail.read()] == [step]
    assert list(tail.read()) == []


def test_no_log_is_no_events(tmp_path: Path) -> None:
    assert list(Tail(tmp_path).read()) == []
    assert events.history(tmp_path) == []


def test_torn_last_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    write_steps(tmp_path, 1, 2)
    path, tail = tmp_path / events.FILE, Tail(tmp_path)
    with path.open("ab") as stream:
        stream.write(b'{"kind": "step", "st')
        stream.flush()
        assert [record["step"] for record in tail.read()] == [1, 2]
        stream.write(b'ep": 3}\n')
    assert [record["step"] for record in tail.read()] == [3]


def test_line_torn_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    write_steps(tmp_path, 1, 2)
    with (tmp_path / events.FILE).open("ab") as stream:
        stream.write(b'{"kind": "step", "st')
    write_steps(tmp_path, 3, 4)
    assert [record["step"] for record in events.steps(tmp_path)] == [1, 2, 3, 4]


def test_resumed_steps_supersede_those_of_the_killed_worker(tmp_path: Path) -> None:
    write_steps(tmp_path, 1, 5)
    resume(tmp_path, 3)
    write_steps(tmp_path, 4, 6, loss=100)
    steps = events.steps(tmp_path)
    assert [(r["step"], r["loss"]) for r in steps] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 104),
        (5, 105),
        (6, 106),
    ]


def test_validation_after_the_checkpoint_is_superseded_too(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append("started", total_steps=4)
        log.append("validation", step=2, epoch=1)
        log.append("validation", step=4, epoch=2)
        log.append("resumed", step=2, epoch=1)
        log.append("validation", step=4, epoch=2)
    kinds = [(record["kind"], record.get("epoch")) for record in events.history(tmp_path)]
    assert kinds == [("started", None), ("validation", 1), ("resumed", 1), ("validation", 2)]


def test_log_knows_whether_an_earlier_worker_wrote_to_it(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        assert not log.continued
        log.append("started")
    with EventLog(tmp_path) as log:
        assert log.continued


def test_kill_at_any_byte_loses_and_doubles_no_step(tmp_path: Path) -> None:
    write_steps(tmp_path, 1, STEPS)
    whole = (tmp_path / events.FILE).read_bytes()
    checkpoint = 2
    logged = b"".join(whole.splitlines(keepends=True)[:checkpoint])
    for cut in range(len(logged), len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / events.FILE).write_bytes(whole[:cut])
        resume(folder, checkpoint)
        write_steps(folder, checkpoint + 1, STEPS, loss=100)
        steps = events.steps(folder)
        assert [r["step"] for r in steps] == list(range(1, STEPS + 1))
        assert all(r["loss"] > 100 for r in steps[checkpoint:])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "two\nlines", "ü \u2028"])
def test_any_value_stays_on_one_line(tmp_path: Path, value: object) -> None:
    with EventLog(tmp_path) as log:
        log.append("note", value=value)
    lines = (tmp_path / events.FILE).read_bytes().split(b"\n")
    assert len(lines) == 2
    assert repr(json.loads(lines[0])["value"]) == repr(value)
