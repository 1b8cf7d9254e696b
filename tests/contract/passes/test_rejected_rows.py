from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.errors import StorageFailure
from tasks.contract.passes import rejected_rows
from tests.support import passes
from tests.support.tables import Row, parcels, quarantined


def rows() -> list[Row]:
    """Rows of which the last four leave: two by themselves, two for an earlier one."""
    mail = {"text": "write to jane@example.com", "label": " delivery", "id": "x"}
    numbered = [{**row, "id": f"no. {n}"} for n, row in enumerate(parcels(40), 1)]
    return [
        *numbered,
        mail,
        {"text": "", "label": "billing", "id": "empty"},
        {"text": "other", "label": None, "id": "unlabelled"},
        {**numbered[7], "id": "again"},
        {**mail, "text": mail["text"] + "\n"},
    ]


def test_rows_leave_as_they_were_read(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": rows()})
    path = tmp_path / "quarantine.jsonl"
    summary = rejected_rows.set_aside(path, checked.result, checked.sources)
    records = quarantined(path)
    assert summary.rows == 4
    assert [(entry["split"], entry["row"], entry["rules"]) for entry in records] == [
        ("train", 42, ["missing"]),
        ("train", 43, ["missing"]),
        ("train", 44, ["duplicates"]),
        ("train", 45, ["duplicates"]),
    ]
    assert [entry["others"] for entry in records] == [
        {"id": "empty"},
        {"id": "unlabelled"},
        {"id": "again"},
        {"id": "x"},
    ]
    assert records[3]["raw"] == {"text": "write to jane@example.com\n", "label": " delivery"}


def test_lost_rows_are_a_failure_and_leave_the_quarantine_before(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": rows()})
    path = tmp_path / "quarantine.jsonl"
    path.write_bytes(b"before\n")
    lost = replace(checked.result, kept=np.zeros_like(checked.result.kept))
    with pytest.raises(StorageFailure, match="rows were lost between the passes: 0 kept, 4 set"):
        rejected_rows.set_aside(path, lost, checked.sources)
    assert path.read_bytes() == b"before\n"
