"""Two registered versions as they are compared: what each was made from, and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from configs.errors import ModelError
from configs.language import _
from tasks.evaluation import OUTCOMES
from tasks.tracking import registry, runs
from tasks.tracking.lineage import PACKAGE, Lineage
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

Pair = tuple[Any, Any]


class Evaluation:
    """The artifacts of a version's run; the record is :func:`tasks.tracking.lineage.record`'s."""

    def __init__(self, client: MlflowClient, workspace: Workspace, known: Lineage) -> None:
        self._client = client
        self._workspace = workspace
        self.version = known.version
        self.record = known.record
        self._run = str(known.version.run_id)

    def data(self) -> dict[str, Any]:
        """Counts, digests and labels of the training rows."""
        labels = (self._read(f"{PACKAGE}/profile.json") or {}).get("labels") or {}
        return described(self.record, labels)

    def slices(self) -> dict[str, float]:
        found = self._read("evaluation/slices.json") or []
        return {
            one["name"]: one[self.primary_metric] for one in found if self.primary_metric in one
        }

    @property
    def primary_metric(self) -> str:
        return str(self.version.tags.get(registry.PRIMARY_METRIC, ""))

    def outcomes(self) -> pd.DataFrame:
        path = f"evaluation/{OUTCOMES}"
        with TemporaryDirectory(dir=self._workspace.temporary) as folder:
            found = runs.fetch_artifact(self._client, self._run, path, Path(folder))
            if found is None:
                where = runs.uri_of(self.version)
                raise ModelError.at(where, _("its evaluation is gone"))
            return pd.read_parquet(found)

    def _read(self, path: str) -> Any:
        return runs.read_artifact(self._client, self._workspace, self._run, path)


def described(record: Mapping[str, Any], labels: Mapping[str, int]) -> dict[str, Any]:
    """Counts and digests of rows, given their lineage, and their labels."""
    files = {f"files.{s}": ", ".join(f.values()) for s, f in record["sources"].items()}
    rows = {f"rows.{split}": count for split, count in record["rows"].items()}
    counted = {f"labels.{label}": count for label, count in labels.items()}
    quarantined = {"quarantined": record["quarantined"]}
    return {**rows, **quarantined, **counted, **files, "rows_digest": record["rows_digest"]}


def different(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Pair]:
    """The values that differ."""
    return {name: pair for name, pair in both(one, two).items() if pair[0] != pair[1]}


def both(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Pair]:
    """The values of each; None where it has none."""
    return {name: (one.get(name), two.get(name)) for name in dict.fromkeys([*one, *two])}
