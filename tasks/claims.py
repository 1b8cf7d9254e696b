"""Claims of running processes: one file per execution, locked by its process.

The kernel releases the lock when the process dies. The claim then names the unfinished work: runs
of Prefect and MLflow that are still shown as running, and event logs that were not sent.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4

from configs.files import PARTIAL
from tasks.store import lock

Kind = Literal["flow_run", "mlflow_run", "events"]
Entry = dict[str, Any]


def folder(locks: Path) -> Path:
    """The folder of claims."""
    return locks / "alive"


class Claim:
    """The runs and logs of one execution.

    Attributes:
        owed: whether something is left to do after the execution has ended.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.owed = False

    def note(self, kind: Kind, **values: str) -> None:
        """Add an entry before the run or log that it names begins."""
        self._stream.write(json.dumps({"kind": kind, **values}) + "\n")
        self._stream.flush()


@contextmanager
def claimed(locks: Path) -> Iterator[Claim]:
    """Hold a claim for the block; it is deleted afterwards, unless something is still owed."""
    path = folder(locks) / f"{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("w", encoding="utf-8") as stream:
        # Locked before it can be found, so that it is not taken for that of a dead process.
        fcntl.flock(stream, fcntl.LOCK_EX)
        partial.rename(path)
        claim = Claim(stream)
        try:
            yield claim
        finally:
            if not claim.owed:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class DeadClaim:
    """The claim of a dead process: its file and entries."""

    path: Path
    entries: list[Entry]

    def of(self, kind: Kind) -> list[Entry]:
        """The entries of a kind."""
        return [entry for entry in self.entries if entry["kind"] == kind]

    def remove(self) -> None:
        """Delete it: nothing is left to do."""
        self.path.unlink(missing_ok=True)


def inspect(locks: Path) -> tuple[list[DeadClaim], list[Entry]]:
    """The claims of dead processes, and the entries of living ones."""
    gone: list[DeadClaim] = []
    living: list[Entry] = []
    for path in sorted(folder(locks).glob("*.jsonl")):
        with lock(path, wait=False) as free:
            if free:
                gone.append(DeadClaim(path, _read(path)))
            else:
                living += _read(path)
    return gone, living


def fingerprints(entries: Iterable[Entry]) -> set[str]:
    """The fingerprints that claims name."""
    return {entry["fingerprint"] for entry in entries if "fingerprint" in entry}


def _read(path: Path) -> list[Entry]:
    entries = []
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            # A process that died may have left a torn line.
            with suppress(ValueError):
                entries.append(json.loads(line))
    return entries
