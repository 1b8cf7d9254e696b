from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.applications.base import Facts
from tasks.arrow import MappedTable
from tasks.contract.passes import second_pass, verdict
from tasks.contract.passes.second_pass import Piece
from tasks.contract.rows.quarantine import QuarantineSummary
from tasks.contract.sources.splits import SPLITS
from tests.support import passes
from tests.support.passes import Checked
from tests.support.tables import parcels


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    rows = parcels(40)
    return passes.check(tmp_path, {"train": [*rows, rows[3]], "test": parcels(6, "card")})


def facts_of(checked: Checked) -> Facts:
    nothing = QuarantineSummary(Path("quarantine.jsonl"), 0, None, Counter())
    return verdict.accept(checked.config, checked.application, checked.result, nothing)


def test_the_rows_that_stay_are_written_by_split(tmp_path: Path, checked: Checked) -> None:
    profiles = second_pass.write(tmp_path, checked.config, checked.result, facts_of(checked), 1)
    tables = {split: MappedTable(tmp_path / f"{split}.arrow") for split in SPLITS}
    assert {split: len(table) for split, table in tables.items()} == checked.result.rows_kept()
    assert {split: profile.rows for split, profile in profiles.items()} == {
        "train": 32,
        "validation": 8,
        "test": 6,
    }
    assert profiles["test"].labels == {"billing": 3, "delivery": 3}
    test = tables["test"]
    assert test.column("row").to_pylist() == [1, 2, 3, 4, 5, 6]
    assert set(test.column("file").to_pylist()) == {1}
    assert test.column("text").to_pylist() == [f"card number {n}" for n in range(6)]


def batch_sizes(path: Path) -> list[int]:
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        return [batch.num_rows for batch in stream]


def test_pieces_are_joined_to_the_same_file(
    tmp_path: Path, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_pass, "BATCH", 5)
    rows, spool = checked.result.rows, checked.first.spool
    whole = Piece(
        paths=spool.paths,
        split=np.zeros(len(rows), np.int8),
        file=rows.file,
        row=rows.row,
        folder=tmp_path,
        application="topics",
        facts=facts_of(checked),
        texts=("text",),
    )
    pieces = list(second_pass._divide(whole, spool.sizes, tmp_path / "pieces"))
    for piece in [whole, *pieces]:
        second_pass.write_piece(piece)
    joined = tmp_path / "joined.arrow"
    second_pass._join([piece.folder / "train.arrow" for piece in pieces], joined)
    assert [len(piece.row) for piece in pieces] == [41, 6]
    assert batch_sizes(joined) == [5] * 9 + [2]
    assert joined.read_bytes() == (tmp_path / "train.arrow").read_bytes()
