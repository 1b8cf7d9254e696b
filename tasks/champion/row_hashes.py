"""Hashes of the rows that a version has seen in training, kept with its run; never text.

Rows that chose the weights, those of the validation split, count too.
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
from tasks.store import digest
from tasks.tracking import runs
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILE: Final = "training_rows.parquet"
"""An artifact of the run."""
SPLITS: Final = ("train", "validation")
PLACE: Final = ("file", "row")


def of(rows: MappedTable, columns: Sequence[str]) -> Hashes:
    """A hash of some columns for each row; white space at the ends of a text does not count."""
    parts = [hash_rows(table, columns) for table in answers.chunks(rows)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def write(folder: Path, validated: ValidationResult) -> None:
    """Write the hashes of the inputs that a version has seen."""
    import pandas as pd

    tables = [split_rows(validated, split) for split in SPLITS]
    found = np.unique(np.concatenate([of(table, validated.facts.inputs) for table in tables]))
    pd.DataFrame({"input": found}).to_parquet(folder / FILE, index=False)


def read(client: MlflowClient, workspace: Workspace, run_id: str) -> Hashes | None:
    """The hashes that a version's run has; None if it has none."""
    import pandas as pd

    with TemporaryDirectory(dir=workspace.temporary) as folder:
        path = runs.fetch_artifact(client, run_id, FILE, Path(folder))
        if path is None:
            return None
        found: Hashes = pd.read_parquet(path)["input"].to_numpy(np.uint64)
        return found


def digest_of_test(validated: ValidationResult, application: str) -> str:
    """A digest of the test rows with their labels by name, in any order and any file."""
    rows = split_rows(validated, "test")
    columns = [name for name in rows.schema.names if name not in PLACE]
    named = applications.get(application).rows.spelled_out
    parts = [hash_rows(named(one, validated.facts), columns) for one in answers.chunks(rows)]
    found = np.concatenate([np.empty(0, np.uint64), *parts])
    return digest([f"{one:016x}" for one in np.sort(found)])


def split_rows(validated: ValidationResult, split: str) -> MappedTable:
    """The valid rows of a split."""
    return MappedTable(validated.stored.path / f"{split}.arrow")
