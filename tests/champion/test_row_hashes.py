"""Test rows are the same whatever other labels the data has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.champion import row_hashes
from tests.support.tables import Row, pipeline, run, write_table

LABELS: dict[str, list[Any]] = {
    "single": ["b", "c", "b", "c"],
    "multiple": [["b"], ["c"], ["b", "c"], []],
    "ordinal": [2, 3, 2, 3],
}


def table(labels: Sequence[Any], name: str, target: str) -> list[Row]:
    return [{"text": f"{name} text number {n}", target: label} for n, label in enumerate(labels)]


@pytest.mark.parametrize("labelling", LABELS)
def test_a_new_label_leaves_the_test_rows_the_same(labelling: str, tmp_path: Path) -> None:
    target = "labels" if labelling == "multiple" else "label"
    known = LABELS[labelling]
    new = {"single": "a", "multiple": ["a", "b"], "ordinal": 1}[labelling]

    def digest(name: str, extra: list[Any], tested: list[Any]) -> str:
        folder = tmp_path / name
        train, test = table([*known * 5, *extra], "train", target), table(tested, "test", target)
        write_table(folder / "train.jsonl", train)
        write_table(folder / "test.jsonl", test)
        data = {"train": "train.jsonl", "test": "test.jsonl", "labelling": labelling}
        validated = run(pipeline(folder, data))
        return row_hashes.digest_of_test(validated, "topics")

    before = digest("before", [], known * 2)
    assert digest("more", [new] * 10, known * 2) == before
    assert digest("other", [], [*known * 2][1:] + known[1:2]) != before
