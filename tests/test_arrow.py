from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tasks import arrow
from tasks.arrow import MappedTable

ROWS = {"name": [f"row {n}" for n in range(10)], "ids": [list(range(n)) for n in range(10)]}
TABLE = pa.table(ROWS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table on disk in batches of 4, 4 and 2 rows."""
    arrow.write(tmp_path / "table.arrow", TABLE.to_batches(max_chunksize=4), TABLE.schema)
    return tmp_path / "table.arrow"


def test_table_comes_back_whole(path: Path) -> None:
    table = MappedTable(path)
    assert len(table) == 10
    assert table.slice(0, 10).equals(TABLE)
    assert table.column("ids").to_pylist() == ROWS["ids"]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 5), (2, 10), (5, 5)])
def test_slice_crosses_batches(path: Path, start: int, stop: int) -> None:
    assert MappedTable(path).slice(start, stop).to_pydict() == TABLE[start:stop].to_pydict()


@pytest.mark.parametrize("rows", [[0], [9, 0, 4, 3, 8], [7, 7, 1], list(range(10))])
def test_rows_come_in_the_order_asked_for(path: Path, rows: list[int]) -> None:
    taken = MappedTable(path).take(np.array(rows))
    assert taken.to_pydict() == {name: [values[r] for r in rows] for name, values in ROWS.items()}
    assert taken["ids"].num_chunks == 1


def test_empty_table_has_no_rows(tmp_path: Path) -> None:
    arrow.write(tmp_path / "empty.arrow", [], TABLE.schema)
    table = MappedTable(tmp_path / "empty.arrow")
    assert len(table) == 0
    assert table.slice(0, 5).num_rows == 0


def test_datasets_reads_the_same_file(path: Path) -> None:
    assert Dataset.from_file(str(path)).to_dict() == ROWS
