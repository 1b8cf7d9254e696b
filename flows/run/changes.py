"""What has changed since the previous run of a pipeline: rows, labels, settings, metrics, drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import ModelError
from configs.language import _
from configs.schema import Pipeline
from flows.run.drift import against_version
from flows.run.run import Run
from flows.tracking.versions import Evaluation, Pair, described, different
from tasks.champion import row_hashes
from tasks.champion.comparison import Challenger
from tasks.contract.rows.catalogue import Hashes
from tasks.evaluation import EvaluationResult
from tasks.store import StoredOutput
from tasks.tracking import lineage, registry, runs
from tasks.tracking.client import patiently
from tasks.tracking.runs import FINGERPRINT, flatten
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

VERSION = 1
MOST_RUNS = 20
"""Finished runs that are looked at; those without a version were trials."""
MOST_SETTINGS = 3
"""Settings in the short form."""
LABELS = "labels."


@dataclass(frozen=True, slots=True)
class RowChange:
    """Distinct rows of a split, by their inputs.

    Attributes:
        added: rows that the previous run did not have.
        moved: rows that it had in another split.
        gone: rows of this split that this run does not have.
    """

    added: int
    moved: int
    gone: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences from the previous run; in each pair its value comes first.

    Attributes:
        model: the version that the previous run registered.
        time: when that run ended, in ISO 8601.
        rows: of the training split with the validation split, and of the test split.
        data: counts of rows that differ.
        labels: training rows by label, where the counts differ; None for a label that one lacks.
        metrics: all test metrics.
        same_test_rows: whether the metrics are of the same rows.
        drift: of the training rows, in one line; empty if it cannot be measured.
    """

    model: str
    time: str
    rows: dict[str, RowChange]
    data: dict[str, Pair]
    labels: dict[str, Pair]
    config: dict[str, Pair]
    metrics: dict[str, Pair]
    same_test_rows: bool
    drift: str

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Changes:
        """Those that :meth:`record` wrote."""
        pairs = {name: _pairs(record[name]) for name in ("data", "labels", "config", "metrics")}
        rows = {split: RowChange(**change) for split, change in record["rows"].items()}
        return cls(**{**record, **pairs, "rows": rows})

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @property
    def note(self) -> str:
        """The changes in one line."""
        since = _("since {model} of {day}", model=self.model, day=self.time[:10])
        changes = ", ".join([*self._row_counts(), *self._settings()])
        return f"{since}: {changes}" if changes else since

    def _row_counts(self) -> Iterator[str]:
        added, gone = (
            sum(getattr(one, k) for one in self.rows.values()) for k in ("added", "gone")
        )
        if self.rows:
            yield _("{added:,} rows added, {gone:,} gone", added=added, gone=gone)

    def _settings(self) -> Iterator[str]:
        pairs = list(self.config.items())
        for name, (before, now) in pairs[:MOST_SETTINGS]:
            yield f"{name} {before} -> {now}"
        if more := len(pairs[MOST_SETTINGS:]):
            yield _("{count:,} more settings", count=more)


def of(run: Run) -> Changes | None:
    """Compare a run with the previous one of its pipeline that registered a version, if any."""
    results = run[EvaluationResult], run[ValidationResult]
    now = Challenger(run.config, run.workspace, *results)
    return find(run.tracker.client, now, run.tracker.run_id(), run.fingerprint)


def find(client: MlflowClient, now: Challenger, run_id: str, fingerprint: str) -> Changes | None:
    """Compare what is trained now with the previous run in the experiment of ``run_id``.

    Repeats of the fingerprint do not count.
    """

    def look() -> Changes | None:
        for time, version in _previous(client, run_id, fingerprint):
            # The artifacts of a version may be gone or damaged, or of another version of onestep.
            with suppress(ModelError, KeyError, TypeError, ValueError):
                return _stored(client, now, time, version)
        return None

    return patiently(look, _("look up the previous run"))


def _previous(
    client: MlflowClient, run_id: str, fingerprint: str
) -> Iterator[tuple[str, ModelVersion]]:
    """Versions of earlier runs and when these ended, newest first."""
    experiment = client.get_run(run_id).info.experiment_id
    others = f"tags.`{FINGERPRINT}` != '{fingerprint}' and attributes.status = 'FINISHED'"
    newest = ["attributes.end_time DESC"]
    for found in client.search_runs([experiment], others, 1, MOST_RUNS, newest):
        ended = datetime.fromtimestamp(found.info.end_time / 1000, UTC)
        for version in client.search_model_versions(f"run_id = '{found.info.run_id}'"):
            if registry.settled(version):
                yield ended.isoformat(timespec="seconds"), version


def _stored(client: MlflowClient, now: Challenger, time: str, version: ModelVersion) -> Changes:
    """The differences from a version, read from MLflow once."""
    record = lineage.record(now.config, now.validated)

    def build(_folder: Path) -> dict[str, Any]:
        known = lineage.of(client, now.workspace, version)
        before = Evaluation(client, now.workspace, known)
        return _compare(client, now, time, before, record).record()

    inputs = {
        "version": VERSION,
        "before": [runs.uri_of(version), version.run_id, version.creation_timestamp, time],
        "now": record,
        "rows": now.validated.stored.digest,
        "evaluation": now.evaluated.stored.digest,
    }
    return Changes.read(now.workspace.store.produce("changes", inputs, build).summary)


def _compare(
    client: MlflowClient,
    now: Challenger,
    time: str,
    before: Evaluation,
    record: Mapping[str, Any],
) -> Changes:
    validated, version = now.validated, before.version
    data = different(before.data(), described(record, validated.profile.labels or {}))
    metrics = registry.metrics_of(client, version)
    drifted = against_version(now.config, now.workspace, client, validated, version)
    hashes = row_hashes.store(now.workspace, validated, now.config.application)
    return Changes(
        runs.uri_of(version),
        time,
        _rows(client, now.workspace, before, hashes),
        {name: pair for name, pair in data.items() if name.startswith(("rows.", "quarantined"))},
        {k.removeprefix(LABELS): pair for k, pair in data.items() if k.startswith(LABELS)},
        _settings(before.record["config"], now.config),
        {name: (metrics.get(name), value) for name, value in now.evaluated.metrics.items()},
        _same_test_rows(before, now, hashes),
        drifted.note if drifted else "",
    )


def _pairs(record: Mapping[str, Sequence[Any]]) -> dict[str, Pair]:
    return {name: (before, now) for name, (before, now) in record.items()}


def _settings(before: Mapping[str, Any], config: Pipeline) -> dict[str, Pair]:
    """Settings that differ; one that is new in onestep counts only if it is declared."""
    now = flatten(config.model_dump(mode="json"))
    declared = flatten(config.model_dump(mode="json", exclude_defaults=True))
    pairs = different(flatten(before), now)
    return {k: pair for k, pair in pairs.items() if pair[0] is not None or k in declared}


def _same_test_rows(before: Evaluation, now: Challenger, hashes: StoredOutput) -> bool:
    if before.record["rows_digest"] == now.validated.digest:
        return True
    return bool(before.version.tags.get(registry.TEST_ROWS) == hashes.summary["test"])


def _rows(
    client: MlflowClient, workspace: Workspace, before: Evaluation, hashes: StoredOutput
) -> dict[str, RowChange]:
    """Rows by split; empty if another version of onestep did not keep the hashes of its rows."""
    run_id = str(before.version.run_id)
    trained, tested = (row_hashes.read(client, workspace, run_id, k) for k in row_hashes.FILES)
    if trained is None or tested is None:
        return {}
    training, test = (row_hashes.load(hashes.path / name) for name in row_hashes.FILES)
    known = np.concatenate([training, test])
    return {
        "training and validation": _change(training, trained, tested, known),
        "test": _change(test, tested, trained, known),
    }


def _change(here: Hashes, before: Hashes, elsewhere: Hashes, known: Hashes) -> RowChange:
    """The change of a split, given the previous rows of it and of the others, and all rows."""
    new = here[~np.isin(here, before)]
    moved = int(np.isin(new, elsewhere).sum())
    return RowChange(len(new) - moved, moved, int((~np.isin(before, known)).sum()))
