"""The timeline: what several processes write, and what it must not do to a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks import trace


@pytest.fixture
def timeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The timeline of this process."""
    monkeypatch.setenv(trace.VARIABLE, "")
    path = tmp_path / "folder" / "timeline.json"
    path.parent.mkdir()
    trace.start(path)
    return path


def spans(path: Path) -> list[dict[str, Any]]:
    """The spans in a file whose array has no end."""
    events = json.loads(path.read_text("utf-8").rstrip().removesuffix(",") + "]")
    return [event for event in events if event["ph"] == "X"]


def test_spans_of_all_processes_are_in_one_file(timeline: Path) -> None:
    program = "from tasks.trace import span\nwith span('theirs', rows=3): pass"
    with trace.span("ours"):
        subprocess.run([sys.executable, "-c", program], check=True)
    theirs, ours = spans(timeline)
    assert (theirs["name"], theirs["args"], ours["name"]) == ("theirs", {"rows": 3}, "ours")
    assert ours["ts"] < theirs["ts"]
    assert ours["ts"] + ours["dur"] > theirs["ts"] + theirs["dur"]
    assert ours["pid"] != theirs["pid"]


def test_a_function_that_fails_has_a_span(timeline: Path) -> None:
    @trace.span("failing")
    def fail() -> None:
        raise ValueError("reason")

    with pytest.raises(ValueError, match="reason"):
        fail()
    assert [span["name"] for span in spans(timeline)] == ["failing"]


def test_a_timeline_that_cannot_be_written_stops_nothing(timeline: Path) -> None:
    timeline.unlink()
    timeline.parent.rmdir()
    with trace.span("unwritten"):
        done = True
    assert done


def test_another_file_is_not_overwritten(timeline: Path, tmp_path: Path) -> None:
    with trace.span("earlier"):
        pass
    trace.start(timeline)
    assert timeline.read_bytes() == trace.START
    data = tmp_path / "data.csv"
    data.write_text("text,label\n", encoding="utf-8")
    with pytest.raises(FileExistsError):
        trace.start(data)
    assert data.read_text("utf-8") == "text,label\n"
