"""Send the steps of a training and the load of its machine to the MLflow run."""

from __future__ import annotations

from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.progress import Notice, announce
from tasks.tracking.relay import Relay
from tasks.tracking.step_sender import StepSender
from tasks.tracking.system_metrics import LoadMonitor

if TYPE_CHECKING:
    from flows.tracking.tracker import Tracker

RELAY_SECONDS = 120.0
LOAD_SECONDS = 10.0
CLOSING_SECONDS = 5.0


class TrainingLog:
    """Sends the event log of a training to the MLflow run of a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._relay: Relay | None = None
        self._load: LoadMonitor | None = None

    def watch(self, folder: Path) -> None:
        """Send the events of a training from now on, and the machine's load beside them."""
        relay = self._follow(folder)
        server = self._tracker.workspace.tracking_uri
        self._load = LoadMonitor(self._tracker.run_id, server, relay.sends).start()

    def _follow(self, folder: Path) -> Relay:
        context, tracker = copy_context(), self._tracker

        def told(text: str) -> None:
            context.run(announce, Notice(text))

        client, fingerprint = tracker.client, tracker.fingerprint
        tracker.claim.note("events", folder=str(folder), fingerprint=fingerprint)
        sender = StepSender(client, tracker.workspace, fingerprint)
        self._relay = Relay(client, tracker.run_id, folder, sender, told).start()
        return self._relay

    def complete(self, folder: Path) -> None:
        """Wait until the run has every step of the finished training in a folder.

        Steps that have not arrived in time are sent by another run.
        """
        self._end_load(LOAD_SECONDS)
        relay = self._relay or self._follow(folder)
        relay.follow(folder)
        if relay.close(RELAY_SECONDS):
            self._relay = None
            return
        self._tracker.claim.owed = True
        who = "another run" if relay.waiting else "the next run of this pipeline"
        announce(Notice(f"some steps have not reached MLflow yet; {who} sends them"))

    def close(self) -> bool:
        """Stop sending; tell whether nothing is left to send."""
        self._end_load(1.0)
        return self._relay is None or self._relay.close(CLOSING_SECONDS)

    def _end_load(self, seconds: float) -> None:
        if self._load is not None:
            self._load.close(seconds)
        self._load = None
