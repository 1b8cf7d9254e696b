"""The MLflow run of a pipeline run: opened in the background, and all that is sent to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import TrackingFailure
from configs.language import _
from configs.schema import Pipeline
from tasks.claims import Claim
from tasks.progress import Notice, announce
from tasks.trace import span
from tasks.tracking import runs
from tasks.tracking.client import connect, patiently
from tasks.tracking.relay import Relay
from tasks.tracking.step_sender import StepSender, elsewhere
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

ENDING_SECONDS = 3.0
"""How long a failed run waits for MLflow before its failure is reported."""
RELAY_SECONDS = 120.0
LOOK_SECONDS = 1.0
LOAD_SECONDS = 10.0
CLOSING_SECONDS = 5.0


@cache
def connection(workspace: Workspace) -> Future[MlflowClient]:
    """Connect in the background, so that MLflow loads in parallel."""
    pool = ThreadPoolExecutor(1, "mlflow")
    future = pool.submit(connect, workspace)
    pool.shutdown(wait=False)
    return future


class Tracker:
    """The MLflow run of one fingerprint.

    Attributes:
        claim: records unfinished work, in case this process dies.
        known_url: address of the run in the MLflow UI; empty until the run is open.
        training: sends the steps of the training to the run.
    """

    def __init__(
        self,
        workspace: Workspace,
        config: Pipeline,
        fingerprint: str,
        tags: dict[str, str],
        claim: Claim,
    ) -> None:
        self.workspace = workspace
        self.config = config
        self.fingerprint = fingerprint
        self.tags = tags
        self.claim = claim
        self.known_url = ""
        self._run_id: str | None = None
        self._lock = threading.Lock()
        self._client = connection(workspace)
        self.training = TrainingLog(self)

    @property
    def client(self) -> MlflowClient:
        """The client; waits until MLflow has loaded."""
        return self._client.result()

    def run_id(self) -> str:
        """The id of the run, opened on first use; may raise while the server is down."""
        with self._lock:
            if self._run_id is None:
                self._run_id = self._open()
            return self._run_id

    @span("open MLflow run")
    def _open(self) -> str:
        name, experiment = f"{self.config.name}-{self.fingerprint[:8]}", self.config.name
        self.claim.note("mlflow_run", experiment=experiment, fingerprint=self.fingerprint)
        params = runs.flatten(self.config.model_dump(mode="json"))
        place = self.client, self.workspace, experiment, self.fingerprint
        run_id = runs.open_run(*place, name, params)
        runs.log_tags(self.client, run_id, self.tags)
        self.known_url = runs.run_url(self.client, self.workspace, run_id)
        return run_id

    def url(self) -> str:
        """The address of the run in the MLflow UI."""
        self.run_id()
        return self.known_url

    def send(self, log: Callable[[MlflowClient, str], None], what: str) -> None:
        """Log to the run, and wait for a server that is down.

        ``log`` may be called several times; ``what`` is the action in messages.

        Raises:
            TrackingFailure: the server did not answer in time.
        """
        patiently(lambda: log(self.client, self.run_id()), what)

    def end(self, status: str) -> None:
        """Set the final status; until MLflow has it, the claim stays."""
        self.claim.owed = True
        complete = self.training.close()
        if status == "FINISHED":
            self.send(
                lambda client, run_id: client.set_terminated(run_id, status), _("end the run")
            )
        elif self._run_id is not None and not self._end_failed(self._run_id, status):
            return
        self.claim.owed = not complete

    def _end_failed(self, run_id: str, status: str) -> bool:
        """Set the status of a failed run; return False if MLflow does not answer.

        On another machine the same run may be complete, or in progress.
        """

        def finish() -> None:
            run = self.client.get_run(run_id)
            if run.info.status == "RUNNING" and not elsewhere(run, self.workspace):
                self.client.set_terminated(run_id, status)

        try:
            patiently(finish, _("end the run"), ENDING_SECONDS)
        except TrackingFailure:
            return False
        return True


class TrainingLog:
    """Sends the event log of a training to the MLflow run of a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._relay: Relay | None = None
        self._load: LoadMonitor | None = None

    def watch(self, folder: Path) -> None:
        """Start to send the events of a training and the load of the machine."""
        relay = self._follow(folder)
        server = self._tracker.workspace.tracking_uri
        self._load = LoadMonitor(self._tracker.run_id, server, relay.sends).start()

    def _follow(self, folder: Path) -> Relay:
        context, tracker = copy_context(), self._tracker

        def notify(text: str) -> None:
            context.run(announce, Notice(text))

        client, fingerprint = tracker.client, tracker.fingerprint
        tracker.claim.note("events", folder=str(folder), fingerprint=fingerprint)
        sender = StepSender(client, tracker.workspace, fingerprint)
        self._relay = Relay(client, tracker.run_id, folder, sender, notify).start()
        return self._relay

    def complete(self, folder: Path) -> None:
        """Wait until the run has every step of a finished training.

        Steps that have not arrived in time are left to another run.
        """
        self._end_load(LOAD_SECONDS)
        relay = self._relay or self._follow(folder)
        relay.follow(folder)
        if relay.close(RELAY_SECONDS):
            self._relay = None
            return
        self._tracker.claim.owed = True
        who = _("another run") if relay.waiting else _("the next run of this pipeline")
        announce(Notice(_("some steps have not reached MLflow yet; {who} sends them", who=who)))

    def close(self) -> bool:
        """Stop sending; return whether everything was sent."""
        self._end_load(1.0)
        return self._relay is None or self._relay.close(CLOSING_SECONDS)

    def _end_load(self, seconds: float) -> None:
        if self._load is not None:
            self._load.close(seconds)
        self._load = None


class LoadMonitor:
    """Sends the load of the machine to a run; a server that is down only delays it.

    CPU, memory, disk and network come from MLflow's system monitor.

    It samples every ten seconds, or as ``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says, and
    continues after the last step of the run, so that a resumed run has each step once. If several
    processes train the same run, only the machine of the one that ``writes`` is shown.
    """

    def __init__(
        self, run_id: Callable[[], str], tracking_uri: str, writes: Callable[[], bool]
    ) -> None:
        self.run_id = run_id
        self.tracking_uri = tracking_uri
        self.writes = writes
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="load", daemon=True)

    def start(self) -> LoadMonitor:
        """Start in the background."""
        self._thread.start()
        return self

    def close(self, seconds: float) -> None:
        """Send what is left, at most for ``seconds``."""
        self._ending.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        monitor: SystemMetricsMonitor | None = None
        while not self._ending.is_set():
            if monitor is None and self.writes():
                monitor = self._open()
                if monitor is not None:
                    monitor.start()  # type: ignore[no-untyped-call]
            elif monitor is not None and not self.writes():
                monitor.finish()  # type: ignore[no-untyped-call]
                monitor = None
            self._ending.wait(LOOK_SECONDS)
        if monitor is not None:
            monitor.finish()  # type: ignore[no-untyped-call]

    def _open(self) -> SystemMetricsMonitor | None:
        from mlflow.exceptions import MlflowException
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
        from requests.exceptions import RequestException

        try:
            return SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                self.run_id(), resume_logging=True, tracking_uri=self.tracking_uri
            )
        except (MlflowException, RequestException):
            return None
