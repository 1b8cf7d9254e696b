"""The tutorial can be followed: each of its commands runs, in order, with less data and a tiny
model in place of those that it names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.followed import TUTORIAL
from tests.support.commands import assert_nothing_runs
from tests.support.homes import Finished, aliases, versions
from tests.support.reader import Reader, reading
from tests.support.rows import reviews, write_rows

# Every command of a first hour, one after the other.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("tutorial")]

SPLITS = {"validation": slice(0, 16), "test": slice(16, 40), "train": slice(40, None)}
"""Of the tiny rows, those in place of each file of the sample: few in the first month."""
SHRUNK: dict[str, Any] = {
    "contract": {"min_rows_per_class": 1, "sample_size": 0},
    "seed": 2,
    "training": {"epochs": 4, "learning_rate": 5e-3, "precision": "fp32"},
    "evaluation": {"bootstrap_samples": 100},
    "gate": {
        "rule": "non_inferior",
        "margin": 1.0,
        "thresholds": {"accuracy": 0.0},
        "beat_baseline": False,
    },
    "compute": {"device": "cpu", "threads": 1, "energy": False},
}


@pytest.fixture
def reader(finished: Finished, tmp_path: Path) -> Iterator[Reader]:
    """In a folder that looks like a clone, with little data."""
    home = finished.empty(tmp_path / "mlruns")
    base = {"model": {"base": str(finished.file.with_name("base"))}}
    with reading(tmp_path, home, SHRUNK | base) as working:
        rows = reviews()
        for split, chosen in SPLITS.items():
            write_rows(tmp_path / "configs" / "samples" / f"sentiment.{split}.csv", rows[chosen])
        yield working
    assert_nothing_runs(home)


def test_the_tutorial_can_be_followed(reader: Reader) -> None:
    reader.follow(TUTORIAL)
    assert {"onestep run shop.yaml", "onestep ui"} <= reader.said.keys()
    home = reader.folder / "mlruns"
    assert versions(home, "shop") == [1, 2]
    assert aliases(home, "shop") == {"champion": 2, "previous": 1}
    answer = json.loads(reader.said[next(line for line in reader.said if line.startswith("curl"))])
    table = list(csv.DictReader(reader.said["onestep predict shop@champion new.csv"].splitlines()))
    assert answer["predictions"][0]["label"] == table[1]["label"]
