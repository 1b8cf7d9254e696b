from __future__ import annotations

import math
from pathlib import Path

import pytest

from tasks.contract.passes import first_pass, row_checks
from tasks.contract.passes.row_checks import Task
from tasks.contract.rows.layout import Layout
from tasks.contract.sources.json_files import JsonLines
from tasks.contract.sources.splits import Part
from tests.support import passes
from tests.support.sources import locate
from tests.support.tables import parcels, pipeline, write_table


def test_results_of_processes_are_in_order() -> None:
    squares = [float(n * n) for n in range(20)]
    assert first_pass.run_in_processes(math.sqrt, squares, 2) == list(map(float, range(20)))
    assert first_pass.run_in_processes(math.sqrt, squares, 1) == list(map(float, range(20)))


def test_small_files_are_read_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_table(tmp_path / "train.jsonl", parcels(4))
    sources = locate(tmp_path, train="train.jsonl")
    config = pipeline(tmp_path, {"train": "train.jsonl"}, compute={"threads": 3})
    assert first_pass.count_workers(config, sources) == 1
    monkeypatch.setattr(first_pass, "PARALLEL_BYTES", path.stat().st_size)
    monkeypatch.setattr(first_pass.cores, "available", lambda: 8)
    assert first_pass.count_workers(config, sources) == 3
    monkeypatch.setattr(first_pass.cores, "available", lambda: 2)
    assert first_pass.count_workers(config, sources) == 2


def test_rows_are_numbered_and_counted_by_file(tmp_path: Path) -> None:
    broken = {"text": "", "label": "delivery"}
    rows = {"train": [*parcels(3), broken], "test": [broken, *parcels(2, "card")]}
    first = passes.check(tmp_path, rows).first
    assert first.total == 7
    assert first.rejected_by_split == {"train": 1, "test": 1}
    assert [(entry["split"], entry["row"]) for entry in first.records()] == [
        ("train", 4),
        ("test", 1),
    ]
    places = [first.rows.place(n, first.layout.files) for n in range(len(first.rows))]
    assert [(place.split, place.row) for place in places] == [
        *(("train", row) for row in (1, 2, 3)),
        *(("test", row) for row in (2, 3)),
    ]


def test_rows_of_blocks_are_numbered_as_in_their_file(tmp_path: Path) -> None:
    rows = parcels(40)
    rows[30]["text"] = ""
    source = JsonLines(write_table(tmp_path / "train.jsonl", rows))
    config = pipeline(tmp_path, {"train": "train.jsonl"})
    layout = Layout({"text": "text", "label": "label"}, (source.name,), None)
    parts = []
    for number, block in enumerate(source.blocks(500)):
        paths = (tmp_path / f"{number}.arrow", tmp_path / f"{number}.jsonl", tmp_path / "fixes")
        task = Task(config, layout, Part("train", source, block), *paths)
        parts.append(row_checks.check_part(task))
    assert len(parts) > 3
    first = first_pass.join(layout, parts)
    assert [entry["row"] for entry in first.records()] == [31]
    assert [example.place.row for example in first.findings.examples["missing"]] == [31]
    assert first.rows.row.tolist() == [row for row in range(1, 41) if row != 31]
    assert first.spool.sizes == tuple(part.rows - part.rejected for part in parts)
