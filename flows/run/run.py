"""One execution of a pipeline: what its stages share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.schema import Pipeline
from flows.prefect_run.failures import reported
from flows.run import inputs
from flows.run.fingerprint import descriptive_tags, fingerprint
from flows.run.libraries import quiet
from flows.run.outcome import Outcome
from flows.run.reading import read
from flows.run.stage import R, Results, Stage
from flows.servers import outbox
from flows.servers.leases import shared
from flows.tracking.tracker import Tracker
from tasks.claims import Claim, claimed
from tasks.contract.report.record import Report
from tasks.registration import Origin
from tasks.workspace import Workspace


class Run:
    """Config, inputs, tracking and results of one execution.

    Args:
        config: the pipeline.
        workspace: where it writes.
        claim: names what it has under way.
        stages: of the pipeline.

    Raises:
        DataError: a declared file is missing.
        ModelError: the base model cannot be used.
    """

    def __init__(
        self, config: Pipeline, workspace: Workspace, claim: Claim, stages: Sequence[Stage]
    ) -> None:
        self.config = config
        self.workspace = workspace
        self.inputs = inputs.locate(config)
        self.fingerprint, self.digests = fingerprint(config, self.inputs, stages)
        tags = self.digests | descriptive_tags(config, self.inputs.base)
        self.tracker = Tracker(workspace, config, self.fingerprint, tags, claim)
        self.origin = Origin(self.fingerprint, self.tracker.run_id, tags)
        self.contract: Report = {}
        self.results = Results()

    def __getitem__(self, kind: type[R]) -> R:
        """The result of an earlier stage, by its type."""
        return self.results[kind]

    @property
    def outcome(self) -> Outcome:
        """What the stages came to, when all have ended."""
        report = self.workspace.root / "reports" / f"{self.config.name}.run.html"
        return Outcome(self.results, self.tracker.url(), report)


@contextmanager
def opened(
    file: str,
    overrides: Sequence[str],
    fresh: bool,
    stages: Sequence[Stage],
    settings: Mapping[str, Any] | None = None,
    home: str | None = None,
) -> Iterator[Run]:
    """Prepare a run; record in MLflow how it ended, and tell Prefect why it failed.

    Args:
        file: the YAML file; relative paths in the settings begin at its folder.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
        stages: of the pipeline.
        settings: a pipeline as JSON values, in place of what the file says.
        home: the folder to write to; by default that of the environment.
    """
    with reported(Path(file).stem) as subject:
        quiet()
        workspace = shared(Workspace.open(Path(home) if home else None, fresh=fresh))
        with claimed_flow(workspace) as claim:
            run = Run(read(Path(file), overrides, settings), workspace, claim, stages)
            subject.run = run
            workspace.store.sweep()
            outbox.deliver(workspace)
            with _ended_in_mlflow(run):
                yield run


@contextmanager
def _ended_in_mlflow(run: Run) -> Iterator[None]:
    try:
        yield
    except Exception:
        run.tracker.end("FAILED")
        raise
    except BaseException:
        run.tracker.end("KILLED")
        raise
    run.tracker.end("FINISHED")


@contextmanager
def claimed_flow(workspace: Workspace) -> Iterator[Claim]:
    """Hold a claim that names the Prefect run around it."""
    from prefect.runtime import flow_run

    with claimed(workspace.locks) as claim:
        if flow_run.id is not None:
            claim.note("flow_run", id=str(flow_run.id))
        yield claim
