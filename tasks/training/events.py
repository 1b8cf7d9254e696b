"""The event log of a training process: one JSON line per event, append-only.

It is the authoritative record of the run. A resumed worker appends ``resumed`` with the step that
it continues from; readers then drop later steps of the killed worker, which are repeated.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "events.jsonl"
Record = dict[str, Any]


class EventLog:
    """Appends events; each is flushed before the next.

    Attributes:
        continued: whether an earlier worker wrote to the log.
    """

    def __init__(self, folder: Path) -> None:
        self._stream = (folder / FILE).open("ab")
        self.continued = self._stream.tell() > 0
        if self.continued and not _ends_with_newline(folder / FILE):
            self._stream.write(b"\n")

    def __enter__(self) -> EventLog:
        """Start a block at whose end the log is closed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self._stream.close()

    def append(self, kind: str, **values: Any) -> None:
        """Append one event with the time in seconds since the epoch; any thread may call it."""
        record = {"kind": kind, "time": round(time.time(), 3), **values}
        self._stream.write(json.dumps(record).encode() + b"\n")
        self._stream.flush()

    def sync(self) -> None:
        """Force the log to the disk."""
        os.fsync(self._stream.fileno())


class NullLog(EventLog):
    """A log that discards events, for ranks that do not write."""

    def __init__(self) -> None:
        self.continued = False

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def append(self, kind: str, **values: Any) -> None:
        """Do nothing."""

    def sync(self) -> None:
        """Do nothing."""


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


class Tail:
    """Reads the complete lines that were appended since the last call."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._offset = 0

    def read(self) -> Iterator[Record]:
        """Yield new events; an incomplete line of a killed worker is skipped."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                yield record


def history(folder: Path) -> list[Record]:
    """Every event of a run, without the superseded steps of killed workers."""
    kept: list[Record] = []
    for record in Tail(folder).read():
        if record["kind"] == "resumed":
            kept = [r for r in kept if r.get("step", 0) <= record["step"]]
        kept.append(record)
    return kept


def steps(folder: Path) -> list[Record]:
    """The optimizer steps of a run, in order, each once."""
    return [record for record in history(folder) if record["kind"] == "step"]
