"""Runs, checks and preflights from Python, with real servers and a tiny model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

import onestep
from tests.support.homes import STEPS, Finished, aliases, assert_nothing_runs, leftovers

pytestmark = pytest.mark.xdist_group("onestep")


@pytest.fixture
def config(file: Path) -> dict[str, Any]:
    """The small pipeline as a dict, without files."""
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    values["model"]["base"] = str(file.parent / "base")
    del values["data"]["train"]
    return values


def test_a_table_gives_the_figures_of_the_same_rows_in_a_file(
    outcome: onestep.RunResult, finished: Finished, home: Path
) -> None:
    assert outcome.metrics == finished.record["metrics"]
    assert outcome.version == 1
    assert outcome.promoted
    assert outcome.report.is_file()
    assert aliases(home) == {"champion": 1}
    assert outcome.record().keys() == finished.record.keys()
    assert outcome.record()["training"]["steps"] == STEPS


def test_a_run_leaves_nothing_behind(outcome: onestep.RunResult, home: Path) -> None:
    assert_nothing_runs(home)
    assert leftovers(home) == []


def test_a_second_run_under_a_loop_reuses_every_stage(
    outcome: onestep.RunResult,
    config: dict[str, Any],
    frame: pd.DataFrame,
    home: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    environment = dict(os.environ)

    async def cell() -> onestep.RunResult:
        return onestep.run(config, pl.from_pandas(frame), home=home, verbose=False)

    again = asyncio.run(cell())
    assert set(again.record()["reused"].values()) == {True}
    assert (again.metrics, again.version) == (outcome.metrics, outcome.version)
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment


TABLES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
    "datasets": datasets.Dataset.from_pandas,
    "mapping": lambda frame: {"train": frame},
    "DatasetDict": lambda frame: datasets.DatasetDict(train=datasets.Dataset.from_pandas(frame)),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_kind_of_table_is_the_same_data(
    name: str, outcome: onestep.RunResult, config: dict[str, Any], frame: pd.DataFrame, home: Path
) -> None:
    before = set((home / "tables").iterdir())
    checked = onestep.check(config, TABLES[name](frame), home=home)
    assert checked.valid
    assert checked.problems == ()
    assert checked.record()["contract"]["rows"]["in"] == 120
    assert set((home / "tables").iterdir()) == before


def test_a_pipeline_is_taken_as_its_file(file: Path, home: Path) -> None:
    from flows.run.reading import read

    checked = onestep.check(read(file, []), home=home)
    assert checked.valid
    assert "72 train, 24 validation, 24 test" in repr(checked)
    assert "<table>" in checked._repr_html_()


def test_splits_of_their_own(config: dict[str, Any], frame: pd.DataFrame, tmp_path: Path) -> None:
    data = {"train": frame[:80], "validation": frame[80:100], "test": frame[100:]}
    checked = onestep.check(config, data, home=tmp_path)
    assert {s["split"]: s["in"] for s in checked.record()["contract"]["splits"]} == {
        "train": 80,
        "validation": 20,
        "test": 20,
    }


def test_a_table_takes_the_place_of_every_file(
    config: dict[str, Any], frame: pd.DataFrame, tmp_path: Path
) -> None:
    files = config | {"data": {"train": "gone.csv", "validation": "gone.csv", "test": 0.25}}
    checked = onestep.check(files, frame, home=tmp_path)
    rows = {s["split"]: s["kept"] for s in checked.record()["contract"]["splits"]}
    assert rows == {"train": 78, "validation": 12, "test": 30}


def test_what_a_table_lacks_is_a_result(config: dict[str, Any], tmp_path: Path) -> None:
    checked = onestep.check(config, pd.DataFrame({"txt": ["a"], "label": ["b"]}), home=tmp_path)
    assert not checked.valid
    assert checked.report is None
    (problem,) = checked.problems
    assert problem.what == "expected a column 'text', found 'txt', 'label'"
    assert problem.where.endswith("train.parquet")
    with pytest.raises(onestep.DataError):
        checked.raise_for_problems()


def test_every_mistake_in_a_dict_is_told(
    config: dict[str, Any], frame: pd.DataFrame, tmp_path: Path
) -> None:
    given = config | {"aplication": "x", "training": {"epochs": "two"}}
    with pytest.raises(onestep.ConfigError) as caught:
        onestep.run(given, frame, home=tmp_path)
    found = {problem.where: problem.advice for problem in caught.value.problems}
    assert found == {
        "config: aplication": "did you mean `application`?",
        "config: training.epochs": "",
    }
    assert given["training"] == {"epochs": "two"}


def test_mistakes_in_a_file_have_their_line(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "reviews.yaml"
    text = file.read_text(encoding="utf-8")
    path.write_text(text.replace("epochs: 4", "epochs: four"), encoding="utf-8")
    with pytest.raises(onestep.ConfigError, match=r"reviews.yaml:\d+: training.epochs"):
        onestep.run(path, home=tmp_path)


@pytest.mark.parametrize("data", [{"dev": pd.DataFrame()}, {}, {"text": ["a"]}], ids=str)
def test_unknown_splits_are_refused(data: Any, config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(onestep.DataError, match="expected tables by split: train"):
        onestep.check(config, data, home=tmp_path)


def test_other_configs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(onestep.ConfigError, match="a path, a dict or a Pipeline, found int"):
        onestep.run(3, home=tmp_path)  # type: ignore[arg-type]


def test_refused_data_ends_a_run_with_an_error(
    config: dict[str, Any], frame: pd.DataFrame, home: Path
) -> None:
    with pytest.raises(onestep.DataError, match="cannot set aside") as caught:
        onestep.run(config, frame.head(3), home=home, verbose=False)
    assert caught.value.problems


def test_a_preflight_takes_one_step(
    config: dict[str, Any], frame: pd.DataFrame, home: Path
) -> None:
    step = onestep.preflight(config, frame, home=home)
    assert step.loss == pytest.approx(step.record()["expected_loss"], rel=0.3)
    assert step.run_seconds > 0
    assert step.peak_memory > 2**20
    assert "one optimizer step" in repr(step)
