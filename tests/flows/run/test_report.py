"""A run that ended without a result is listed, with the page about its own data."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.errors import DataError, Failure
from flows.run import report
from tasks.workspace import Workspace
from tests.support.html import Document
from tests.support.tables import check, parcels, pipeline


def listed(home: Path, error: Exception, contract: Any = None) -> list[str]:
    """The pages that the index leads to after a run ended with an error."""
    run: Any = SimpleNamespace(
        config=pipeline(home, {"train": "train.jsonl"}),
        workspace=Workspace.open(home),
        fingerprint="0a1b2c3d4e",
        contract=contract or {},
    )
    report.publish_failure(run, error, "why")
    folder = home / "reports" / run.config.name
    links = Document((folder / "index.html").read_text("utf-8")).all("href")
    return [(folder / name).read_text("utf-8") for name in links]


def test_the_report_of_refused_rows_is_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        check(tmp_path, parcels(40), contract={"min_rows_per_class": 21})
    # Another run of the pipeline publishes its own in the same place.
    check(tmp_path, parcels(50))
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.report["rows"]["in"] == 40
    (page,) = listed(tmp_path / "mlruns", error)
    assert "data contract refused" in page


def test_a_run_without_a_report_does_not_take_that_of_another(tmp_path: Path) -> None:
    check(tmp_path, parcels(40))
    assert listed(tmp_path / "mlruns", Failure("the disk is full")) == []
    (page,) = listed(
        tmp_path / "mlruns",
        Failure("again"),
        {"pipeline": "parcels", "verdict": "passed", "rows": {"in": 3}},
    )
    assert "data contract passed" in page
