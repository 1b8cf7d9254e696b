"""Choose the one process that sends the steps of an MLflow run, across machines.

Within a home a lock file decides, which the kernel releases when its holder dies. Homes that share
an MLflow server share no lock: there the sender writes a heartbeat to a tag of the run, and another
one takes over when the heartbeat has not changed for a while.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from configs.files import write_atomic
from tasks.store import digest, lock
from tasks.tracking import runs
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TAG: Final = "onestep.writer"
NAME: Final = "home-id"
SILENT_SECONDS: Final = 60.0
GONE_SECONDS: Final = 3600.0
"""Heartbeats this old are those of a dead sender, even if the clocks of machines differ."""


class StepSender:
    """The right to send the steps of a run, which one process has at a time.

    A sender counts as dead after ``silence`` seconds without a new heartbeat.
    """

    def __init__(
        self,
        client: MlflowClient,
        workspace: Workspace,
        fingerprint: str,
        silence: float = SILENT_SECONDS,
    ) -> None:
        self.client = client
        self.workspace = workspace
        self.fingerprint = fingerprint
        self.silence = silence
        self._home = ExitStack()
        self._locked = False
        self._run = ""
        self._signed: float | None = None
        self._seen, self._since, self._looked = "", 0.0, 0.0

    @cached_property
    def _me(self) -> str:
        return identity(self.workspace)

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats."""
        return self.silence / 4

    @property
    def holds(self) -> bool:
        """Whether the right is held, as far as is known without asking the server."""
        return self._signed is not None and (
            self.workspace.embedded or self._age < self.silence / 2
        )

    @property
    def _age(self) -> float:
        """Seconds since the last heartbeat, by the wall clock, which runs during sleep."""
        return abs(time.time() - (self._signed or 0.0))

    def keep(self, run_id: str) -> bool:
        """Return whether the right is still held, and send a heartbeat when one is due.

        False after a long silence: another process may have sent since.
        """
        if not self.holds:
            self._signed = None
            return False
        if self.workspace.embedded or self._age < self.beat:
            return True
        if _owner(self._read(run_id)) == self._me:
            self._sign(run_id)
            return True
        self._signed = None
        return False

    def take(self, run_id: str) -> bool:
        """Take the right, unless a live process holds it.

        Raises:
            TrackingFailure: the lease for the handover is not available.
        """
        self._run = run_id
        if not self._lock_home(run_id):
            return False
        if self.workspace.embedded:
            self._signed = time.time()
            return True
        found = self._read(run_id)
        if _owner(found) not in ("", self._me) and not self._dead(found):
            return False
        with runs.lease(self.workspace, self.fingerprint):
            if self._read(run_id) != found:
                return False
            self._sign(run_id)
        return True

    def release(self) -> None:
        """Release the right, if it is held."""
        try:
            if self._run and not self.workspace.embedded and self.keep(self._run):
                self.client.delete_tag(self._run, TAG)
        finally:
            self._signed, self._locked = None, False
            self._home.close()

    def _lock_home(self, run_id: str) -> bool:
        if not self._locked:
            path = self.workspace.locks / f"relay-{run_id}.lock"
            with ExitStack() as stack:
                self._locked = stack.enter_context(lock(path, wait=False))
                if self._locked:
                    self._home = stack.pop_all()
        return self._locked

    def _read(self, run_id: str) -> str:
        return _sign_of(self.client.get_run(run_id))

    def _sign(self, run_id: str) -> None:
        now = time.time()
        self.client.set_tag(run_id, TAG, f"{self._me} {now:.3f}")
        self._signed = now

    def _dead(self, sign: str) -> bool:
        """Whether a heartbeat has not changed for long enough, while the server answered.

        Clocks of machines differ, so the time is measured by this machine's clock alone.
        """
        now = time.monotonic()
        if sign != self._seen or now - self._looked > self.silence / 2:
            self._seen, self._since = sign, now
        self._looked = now
        return now - self._since >= self.silence or _old(sign)


def elsewhere(run: Run, workspace: Workspace) -> bool:
    """Whether another home sends the steps of a run, or did within the last hour."""
    sign = _sign_of(run)
    return sign != "" and _owner(sign) != identity(workspace) and not _old(sign)


def identity(workspace: Workspace) -> str:
    """An id that no other home has, nor a copy of this one: from a random name and an inode.

    It stays the same when the machine or its container restarts.
    """
    path = workspace.root / NAME
    with lock(workspace.locks / f"{NAME}.lock"):
        if not path.exists():
            write_atomic(path, uuid4().hex)
    return digest([path.read_text(encoding="ascii"), path.stat().st_ino])[:16]


def _sign_of(run: Run) -> str:
    return str(run.data.tags.get(TAG, ""))


def _owner(sign: str) -> str:
    return sign.partition(" ")[0]


def _old(sign: str) -> bool:
    return time.time() - float(sign.partition(" ")[2] or 0.0) > GONE_SECONDS
