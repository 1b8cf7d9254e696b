"""The MLflow run of a pipeline run: found or opened in the background, ended with a status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from configs.errors import TrackingFailure
from configs.schema import Pipeline
from flows.tracking.training import TrainingLog
from tasks.claims import Claim
from tasks.tracking import runs
from tasks.tracking.client import connect, patiently
from tasks.tracking.step_sender import elsewhere
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENDING_SECONDS = 3.0
"""How long a failed run waits for MLflow before its failure is reported."""


@cache
def connection(workspace: Workspace) -> Future[MlflowClient]:
    """Connect in the background, so that MLflow loads in parallel."""
    pool = ThreadPoolExecutor(1, "mlflow")
    future = pool.submit(connect, workspace)
    pool.shutdown(wait=False)
    return future


class Tracker:
    """The MLflow run of one fingerprint.

    Args:
        workspace: where the embedded store is.
        config: the pipeline.
        fingerprint: identifies the run.
        tags: tags of the run.
        claim: records the unfinished work, in case this process dies.

    Attributes:
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
        """The client, as soon as MLflow has loaded."""
        return self._client.result()

    def run_id(self) -> str:
        """The id of the run, opened on first use; may raise while the server is down."""
        with self._lock:
            if self._run_id is None:
                self._run_id = self._open()
            return self._run_id

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
        """Log something to the run, and wait for a server that is down.

        Args:
            log: takes the client and the id of the run; may be called several times.
            what: the action, for messages.

        Raises:
            TrackingFailure: the server did not answer in time.
        """
        patiently(lambda: log(self.client, self.run_id()), what)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tag the run, for instance with the Prefect run that made it."""
        self.send(lambda client, run_id: runs.log_tags(client, run_id, tags), "tag the run")

    def end(self, status: str) -> None:
        """Set the final status; the claim stays until MLflow has it."""
        self.claim.owed = True
        complete = self.training.close()
        if status == "FINISHED":
            self.send(lambda client, run_id: runs.finish(client, run_id, status), "end the run")
        elif self._run_id is not None and not self._end_failed(self._run_id, status):
            return
        self.claim.owed = not complete

    def _end_failed(self, run_id: str, status: str) -> bool:
        """Set the status of a run that failed; False if MLflow does not answer.

        On another machine the same run may have ended well, or may go on.
        """

        def finish() -> None:
            run = self.client.get_run(run_id)
            if run.info.status == "RUNNING" and not elsewhere(run, self.workspace):
                runs.finish(self.client, run_id, status)

        try:
            patiently(finish, "end the run", ENDING_SECONDS)
        except TrackingFailure:
            return False
        return True
