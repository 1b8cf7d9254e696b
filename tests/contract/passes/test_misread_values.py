"""Values that are misread show in all rows of a file, whichever comes first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError, Problem
from tasks.applications import registry as applications
from tasks.contract.passes import first_pass, misread_values, row_checks
from tasks.contract.passes.row_checks import Task
from tasks.contract.rows import layout as layouts
from tasks.contract.sources import base, splits
from tests.support import passes
from tests.support.tables import Row, pipeline, write_table

MULTIPLE = {"labelling": "multiple"}


def texts(values: Sequence[object], start: int = 0) -> list[Row]:
    return [{"text": value, "label": "ab"[n % 2]} for n, value in enumerate(values, start)]


def sets(values: Sequence[object]) -> list[Row]:
    return [{"text": f"text {n}", "labels": value} for n, value in enumerate(values)]


def refused(folder: Path, rows: Sequence[Row], data: dict[str, Any] | None = None) -> Problem:
    """The one problem of training rows."""
    with pytest.raises(DataError) as caught:
        passes.check(folder, {"train": rows}, data)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("value", [1, 2.5, "1", "2.5e3", 10**400, True, "nan"])
def test_numbers_as_text_are_refused(value: object, tmp_path: Path) -> None:
    problem = refused(tmp_path, texts([value, "7"]))
    assert problem.what == "expected text in column 'text', found only numbers"
    assert problem.where == str(tmp_path / "train.jsonl")
    assert "data.columns.text" in problem.advice


@pytest.mark.parametrize("blank", ["", " ", None])
@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_blank_cell_does_not_hide_numbers(
    blank: object, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BATCH_CHARACTERS", 1000)
    values: list[object] = [str(n) for n in range(40)]
    values[place] = blank
    assert "found only numbers" in refused(tmp_path, texts(values)).what


@pytest.mark.parametrize("place", [0, 2999])
def test_one_text_among_numbers_is_enough_wherever_it_is(place: int, tmp_path: Path) -> None:
    values = [str(n) for n in range(3000)]
    values[place] = "a text"
    assert len(passes.check(tmp_path, {"train": texts(values)}).first.rows) == 3000


@pytest.mark.parametrize("place", [0, 2999])
def test_vectors_of_labels_are_found_wherever_they_are(place: int, tmp_path: Path) -> None:
    values: list[Any] = [["late"], ["late", "broken"]] * 1500
    values[place] = [1, 0]
    problem = refused(tmp_path, sets(values), MULTIPLE)
    assert problem.where == f"{tmp_path / 'train.jsonl'} column 'labels'"
    assert "rows of 2 zeros and ones" in problem.what


def test_each_file_is_looked_at_by_itself(tmp_path: Path) -> None:
    rows = {"train": sets([["late"], ["broken"]] * 20), "test": sets([[0, 1], [1, 1]])}
    with pytest.raises(DataError) as caught:
        passes.check(tmp_path, rows, MULTIPLE)
    assert [problem.where for problem in caught.value.problems] == [
        f"{tmp_path / 'test.jsonl'} column 'labels'"
    ]


def test_blocks_of_a_file_are_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_pass, "BLOCK_BYTES", 400)
    write_table(tmp_path / "train.jsonl", texts(["a text", *map(str, range(40))]))
    config = pipeline(tmp_path, {"train": "train.jsonl"})
    sources = splits.locate(config.data)
    found = layouts.find_columns(config.data, applications.get("topics"), sources)
    (whole,) = splits.parts(sources)
    results = []
    for number, part in enumerate(first_pass._divide(whole)):
        names = (tmp_path / f"{number}.{kind}" for kind in ("arrow", "jsonl", "fixes"))
        results.append(row_checks.check_part(Task(config, found, part, *names)))
    assert [result.values.numeric["text"] for result in results] == [False, True, True]
    misread_values.require_one_reading(config, found, results)
    with pytest.raises(DataError, match="only numbers"):
        misread_values.require_one_reading(config, found, results[1:])
