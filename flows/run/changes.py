"""What has changed since the previous run of a pipeline: rows, labels, settings, metrics, drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from configs.errors import ModelError
from configs.language import _
from configs.schema import Pipeline
from flows.run.drift import against_version
from flows.run.run import Run
from flows.tracking.versions import Evaluation, Pair, described, different
from tasks.champion import row_hashes
from tasks.champion.comparison import Challenger
from tasks.evaluation import EvaluationResult, input_digests
from tasks.tracking import lineage, registry, runs
from tasks.tracking.client import patiently
from tasks.tracking.runs import FINGERPRINT, flatten
from tasks.validation import ValidationResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

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
        config: settings that differ.
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
                known = lineage.of(client, now.workspace, version)
                before = Evaluation(client, now.workspace, known)
                return _compare(client, now, time, before)
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


def _compare(client: MlflowClient, now: Challenger, time: str, before: Evaluation) -> Changes:
    validated, version = now.validated, before.version
    record = lineage.record(now.config, validated)
    data = different(before.data(), described(record, validated.profile.labels or {}))
    metrics = registry.metrics_of(client, version)
    drifted = against_version(now.config, now.workspace, client, validated, version)
    return Changes(
        runs.uri_of(version),
        time,
        _rows(client, now, before),
        {name: pair for name, pair in data.items() if name.startswith(("rows.", "quarantined"))},
        {k.removeprefix(LABELS): pair for k, pair in data.items() if k.startswith(LABELS)},
        _settings(before.record["config"], now.config),
        {name: (metrics.get(name), value) for name, value in now.evaluated.metrics.items()},
        _same_test_rows(before, now),
        drifted.note if drifted else "",
    )


def _settings(before: Mapping[str, Any], config: Pipeline) -> dict[str, Pair]:
    """Settings that differ; one that is new in onestep counts only if it is declared."""
    now = flatten(config.model_dump(mode="json"))
    declared = flatten(config.model_dump(mode="json", exclude_defaults=True))
    pairs = different(flatten(before), now)
    return {k: pair for k, pair in pairs.items() if pair[0] is not None or k in declared}


def _same_test_rows(before: Evaluation, now: Challenger) -> bool:
    if before.record["rows_digest"] == now.validated.digest:
        return True
    found = row_hashes.digest_of_test(now.validated, now.config.application)
    return before.version.tags.get(registry.TEST_ROWS) == found


def _rows(client: MlflowClient, now: Challenger, before: Evaluation) -> dict[str, RowChange]:
    """Rows by split; empty if another version of onestep did not keep the hashes of its rows.

    A version has the hashes of its training rows, and the digests of its test rows.
    """
    trained = row_hashes.read(client, now.workspace, str(before.version.run_id))
    if trained is None:
        return {}
    tested = before.outcomes()["input"].unique()
    training = _distinct(now.validated, row_hashes.SPLITS, tested)
    test = _distinct(now.validated, ("test",), tested)
    known = pd.concat([training, test])
    gone = (~np.isin(trained, known["hash"])).sum(), (~np.isin(tested, known["digest"])).sum()
    return {
        "training and validation": RowChange(
            *_arrived(training["hash"].isin(trained), training["digest"].isin(tested)), int(gone[0])
        ),
        "test": RowChange(
            *_arrived(test["digest"].isin(tested), test["hash"].isin(trained)), int(gone[1])
        ),
    }


def _arrived(here: pd.Series[bool], elsewhere: pd.Series[bool]) -> tuple[int, int]:
    """Rows that are new, and rows that were in the other split."""
    return int((~here & ~elsewhere).sum()), int((~here & elsewhere).sum())


def _distinct(
    validated: ValidationResult, splits: Sequence[str], tested: Iterable[str]
) -> pd.DataFrame:
    """The hash of each distinct row of some splits, and its digest if that is among ``tested``."""
    inputs, known = validated.facts.inputs, {digest: digest for digest in tested}
    tables = [row_hashes.split_rows(validated, split) for split in splits]
    hashes = np.concatenate([row_hashes.of(table, inputs) for table in tables])
    digests = [known.get(one) for table in tables for one in input_digests(table, inputs)]
    return pd.DataFrame({"hash": hashes, "digest": digests}).drop_duplicates("hash")
