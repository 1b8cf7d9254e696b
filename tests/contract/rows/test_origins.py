"""The lines and the values of stored rows in their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.arrow import MappedTable
from tasks.contract.rows import origins
from tasks.contract.sources.delimited import CommaSeparated
from tests.support.tables import parcels, pipeline, run, write_table


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened, each as often as it is."""
    paths: list[Path] = []
    usual = Path.open

    def kept(path: Path, *arguments: Any, **options: Any) -> Any:
        paths.append(path)
        return usual(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", kept)
    return paths


def test_a_file_is_read_once_for_lines_and_ids(tmp_path: Path, opened: list[Path]) -> None:
    rows = [{"id": f"T-{n}", "kind": n % 3} | row for n, row in enumerate(parcels(), 1)]
    path = write_table(tmp_path / "train.csv", rows)
    validated = run(pipeline(tmp_path, {"train": "train.csv", "id_column": "id"}))
    stored = MappedTable(validated.stored.path / "test.arrow")
    numbers = stored.column("row").to_pylist()
    opened.clear()
    found = origins.describe(stored, validated.sources, "id")
    places = {"file": ["train.csv"] * len(numbers), "row": numbers}
    known = {"line": [n + 1 for n in numbers], "id": [f"T-{n}" for n in numbers]}
    assert found == places | known
    assert opened == [path]
    columns = origins.columns_of(["kind", "id"], stored, validated.sources)
    assert columns == {"kind": [str(n % 3) for n in numbers], "id": found["id"]}
    assert opened == [path, path]

    path.write_bytes(path.read_bytes().replace(b"T-", b"U-"))
    unknown = {"id": [""] * len(numbers)}
    assert origins.describe(stored, validated.sources, "id") == places | unknown


def test_the_digest_is_that_of_the_bytes_whenever_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    source = CommaSeparated(path)
    first = source.digest()
    path.write_text("a\n2\n", encoding="utf-8")
    assert source.digest() == CommaSeparated(path).digest() != first
