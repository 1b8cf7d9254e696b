"""Hashes of the rows of a version by their inputs, kept with its run; never text.

Rows that chose the weights, those of the validation split, count as trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.applications import registry as applications
from tasks.arrow import MappedTable
from tasks.champion import answers
from tasks.contract.rows.catalogue import Hashes, hash_rows
from tasks.store import StoredOutput, digest
from tasks.tracking import runs
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSION: Final = 1
TRAINING: Final = "training_rows.parquet"
TEST: Final = "test_rows.parquet"
FILES: Final = {TRAINING: ("train", "validation"), TEST: ("test",)}
"""Artifacts of the run, and the splits whose rows they have."""
PLACE: Final = ("file", "row")


def of(rows: MappedTable, columns: Sequence[str]) -> Hashes:
    """A hash of some columns for each row; white space at the ends of a text does not count."""
    parts = [hash_rows(table, columns) for table in answers.chunks(rows)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def store(workspace: Workspace, validated: ValidationResult, application: str) -> StoredOutput:
    """The files of a version, computed once for its rows; the summary has the digest of test."""
    made = applications.get(application)

    def build(folder: Path) -> dict[str, str]:
        for name, splits in FILES.items():
            _write(folder / name, validated, splits)
        return {"test": digest_of_test(validated, application)}

    inputs = {
        "version": VERSION,
        "rows": validated.digest,
        "facts": validated.facts.record(),
        "application": [made.name, made.version],
    }
    return workspace.store.produce("row_hashes", inputs, build)


def _write(path: Path, validated: ValidationResult, splits: Sequence[str]) -> None:
    """Write the hashes of the inputs of some splits, each once."""
    import pandas as pd

    tables = [validated.table(split) for split in splits]
    found = np.unique(np.concatenate([of(table, validated.facts.inputs) for table in tables]))
    pd.DataFrame({"input": found}).to_parquet(path, index=False)


def load(path: Path) -> Hashes:
    """The hashes that a file has."""
    import pandas as pd

    found: Hashes = pd.read_parquet(path)["input"].to_numpy(np.uint64)
    return found


def read(client: MlflowClient, workspace: Workspace, run_id: str, name: str) -> Hashes | None:
    """The hashes that a version's run has; None if it has no such file."""
    with TemporaryDirectory(dir=workspace.temporary) as folder:
        path = runs.fetch_artifact(client, run_id, name, Path(folder))
        return None if path is None else load(path)


def digest_of_test(validated: ValidationResult, application: str) -> str:
    """A digest of the test rows with their labels by name, in any order and any file."""
    rows = validated.table("test")
    columns = [name for name in rows.schema.names if name not in PLACE]
    named = applications.get(application).rows.spelled_out
    parts = [hash_rows(named(one, validated.facts), columns) for one in answers.chunks(rows)]
    found = np.concatenate([np.empty(0, np.uint64), *parts])
    return digest([f"{one:016x}" for one in np.sort(found)])
