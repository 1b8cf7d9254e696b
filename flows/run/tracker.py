"""The MLflow side of one pipeline run, opened in the background and patient with its server."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Pipeline
from flows.run import inputs
from tasks.claims import Claim
from tasks.contract.report.page import render
from tasks.contract.report.record import Report
from tasks.contract.sources.frames import Sources
from tasks.errors import TrackingFailure
from tasks.evaluation import Evaluated
from tasks.finetuning import Tuned
from tasks.progress import Notice, announce
from tasks.report import page
from tasks.store import lock
from tasks.tracking import comparison_run, registry, runs
from tasks.tracking.registry import TEST
from tasks.tracking.relay import Relay
from tasks.tracking.runs import patiently
from tasks.tracking.step_sender import Writer, elsewhere
from tasks.tracking.system_metrics import LoadMonitor
from tasks.validation import Validated
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

RELAY_SECONDS = 120.0
LOAD_SECONDS = 10.0


@cache
def connection(workspace: Workspace) -> Future[MlflowClient]:
    """Connect in the background: MLflow loads while something else is waited for."""
    pool = ThreadPoolExecutor(1, "mlflow")
    future = pool.submit(runs.connect, workspace)
    pool.shutdown(wait=False)
    return future


class Tracker:
    """Knows the MLflow run of one fingerprint.

    Args:
        workspace: where the embedded store is.
        config: the pipeline.
        fingerprint: decides the run.
        tags: tags of the run.
        claim: names what is under way, in case this process dies.

    Attributes:
        known_url: where the run is in the MLflow UI; empty until the run is open.
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
        self._run_id: str | None = None
        self._lock = threading.Lock()
        self.known_url = ""
        self._relay: Relay | None = None
        self._load: LoadMonitor | None = None
        self._client = connection(workspace)

    @property
    def client(self) -> MlflowClient:
        """The client, as soon as MLflow has loaded."""
        return self._client.result()

    def run_id(self) -> str:
        """The id of the run, opened on first use; may raise while the server is down."""
        with self._lock:
            if self._run_id is None:
                name = f"{self.config.name}-{self.fingerprint[:8]}"
                self.claim.note(
                    "mlflow_run", experiment=self.config.name, fingerprint=self.fingerprint
                )
                run_id = runs.open_run(
                    self.client,
                    self.workspace,
                    self.config.name,
                    self.fingerprint,
                    name,
                    runs.flatten(self.config.model_dump(mode="json")),
                )
                runs.log_tags(self.client, run_id, self.tags)
                self.known_url = runs.run_url(self.client, self.workspace, run_id)
                self._run_id = run_id
            return self._run_id

    def url(self) -> str:
        """Where the run is in the MLflow UI."""
        self.run_id()
        return self.known_url

    def watch(self, folder: Path) -> None:
        """Send the event log of a training to the run, and the machine's load beside it."""
        relay = self._follow(folder)
        server = self.workspace.tracking_uri
        self._load = LoadMonitor(self.run_id, server, relay.sends).start()

    def _follow(self, folder: Path) -> Relay:
        context = copy_context()

        def told(text: str) -> None:
            context.run(announce, Notice(text))

        client = self.client
        self.claim.note("events", folder=str(folder), fingerprint=self.fingerprint)
        writer = Writer(client, self.workspace, self.fingerprint)
        self._relay = Relay(client, self.run_id, folder, writer, told).start()
        return self._relay

    def settle(self, tuned: Tuned) -> None:
        """Make sure that the run has every step, those of an earlier training too."""
        self._end_load(LOAD_SECONDS)
        relay = self._relay or self._follow(tuned.stored.path)
        relay.follow(tuned.stored.path)
        if relay.close(RELAY_SECONDS):
            self._relay = None
            return
        self.claim.owed = True
        who = "another run" if relay.waiting else "the next run of this pipeline"
        announce(Notice(f"some steps have not reached MLflow yet; {who} sends them"))

    def _end_load(self, seconds: float) -> None:
        if self._load is not None:
            self._load.close(seconds)
        self._load = None

    def log_evaluation(self, evaluated: Evaluated, tuned: Tuned) -> None:
        """Log test metrics, interval, tables and plots."""
        low, high = evaluated.interval
        bounds = {f"{evaluated.headline}_low": low, f"{evaluated.headline}_high": high}
        figures = {f"{TEST}{k}": v for k, v in (evaluated.metrics | bounds).items()}
        figures |= {f"baseline/{k}": v for k, v in evaluated.baseline.items()}
        figures |= {
            "train/seconds": float(tuned.summary["seconds"]),
            "train/peak_memory_bytes": float(tuned.summary["peak_memory"]),
        }
        tags = {f"signature.{k}": v for k, v in evaluated.signatures.items()}
        tags["baseline"] = evaluated.baseline_name
        if used := tuned.summary.get("energy"):
            figures["train/energy_wh"] = used["wh"]
            tags["onestep.energy"] = page.found(used["how"])

        def send() -> None:
            run_id = self.run_id()
            runs.log_tags(self.client, run_id, tags)
            with runs.alone(self.workspace, self.fingerprint):
                kept = self._is_registered()
                steps = int(tuned.summary["steps"])
                runs.log_figures(self.client, run_id, figures, steps, kept)
            with lock(self.workspace.locks / f"evaluation-{run_id}.lock"):
                found = self.client.list_artifacts(run_id, "evaluation")
                stays = kept and not self.workspace.fresh
                known = {entry.path for entry in found} if stays else ()
                runs.log_files(self.client, run_id, evaluated.stored.path, "evaluation", known)

        patiently(send, "log the evaluation")

    def _is_registered(self) -> bool:
        """Whether this run has led to a version about which all is decided."""
        made = registry.find(self.client, self.config.model_name, self.fingerprint)
        return made is not None and registry.settled(made)

    def log_contract(self, validated: Validated, report: Report, sources: Sources) -> None:
        """Log the data, the contract's report and the profile; never the quarantine with its text.

        Args:
            validated: the rows.
            report: what the contract found in them.
            sources: the files that they come from.
        """
        tags = {
            "onestep.contract.verdict": report["verdict"],
            "onestep.contract.rules": str(len(report["rules"])),
            "onestep.contract.quarantined": str(report["rows"]["quarantined"]),
            "onestep.rows": validated.digest,
        }

        def send() -> None:
            run_id = self.run_id()
            runs.log_tags(self.client, run_id, tags)
            with lock(self.workspace.locks / f"inputs-{self.config.name}.lock"):
                datasets = inputs.of_splits(self.config.data, sources, validated)
                self.client.log_inputs(run_id, datasets)
            self.client.log_dict(run_id, report, "validation/report.json")
            profile = str(validated.stored.path / "profile.json")
            self.client.log_artifact(run_id, profile, "validation")
            self.client.log_text(run_id, render(report), "validation/report.html")

        patiently(send, "log the data report")

    def log_comparison(self, gate: Mapping[str, Any] | None) -> None:
        """Log what the gate compared to a nested run, if there was a champion."""
        if not gate or not gate.get("reference"):
            return

        def send() -> None:
            run_id = self.run_id()
            with runs.alone(self.workspace, self.fingerprint):
                comparison_run.log(self.client, run_id, gate)

        patiently(send, "log the comparison")

    def log_report(self, page: str) -> None:
        """Log the report of the run, in place of that of an earlier one."""

        def send() -> None:
            self.client.log_text(self.run_id(), page, "report.html")

        patiently(send, "log the report")

    def link(self, tags: dict[str, Any]) -> None:
        """Tag the run, for instance with the Prefect run that made it."""
        patiently(lambda: runs.log_tags(self.client, self.run_id(), tags), "tag the run")

    def end(self, status: str) -> None:
        """Set the final status; until MLflow knows it, the claim stays."""
        self._end_load(1.0)
        self.claim.owed = True
        owed = self._relay is not None and not self._relay.close(5.0)
        if status == "FINISHED":
            patiently(lambda: runs.finish(self.client, self.run_id(), status), "end the run")
        elif self._run_id is not None and not self._give_up(self._run_id, status):
            return
        self.claim.owed = owed

    def _give_up(self, run_id: str, status: str) -> bool:
        """Set the status of a run that failed, if MLflow answers: its own failure counts more.

        On another machine the same run may have ended well, or may go on.
        """

        def finish() -> None:
            run = self.client.get_run(run_id)
            if run.info.status == "RUNNING" and not elsewhere(run, self.workspace):
                runs.finish(self.client, run_id, status)

        try:
            patiently(finish, "end the run", 3.0)
        except TrackingFailure:
            return False
        return True
