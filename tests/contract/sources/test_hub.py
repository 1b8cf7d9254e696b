from __future__ import annotations

import os
from pathlib import Path

import datasets
import pytest

from configs.errors import DataError
from configs.schema import Data
from tasks.contract.sources import hub
from tasks.contract.sources.hub import HubSplit
from tests.support.sources import TOPICS, read, refused
from tests.support.tables import Row, parcels, write_table


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what ``datasets`` unpacks out of the home folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "names", [("train.csv", "test.csv"), ("data/train-0.parquet", "data/test-0.parquet")]
)
def test_a_folder_in_hub_layout_is_a_data_set(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, rows in zip(names, (parcels(3), parcels(2, "card")), strict=True):
        write_table(tmp_path / "hub" / name, rows)
    raw = read(tmp_path, dataset="hub", test="test")
    assert raw.texts("train") == [f"parcel number {n}" for n in range(3)]
    assert raw.texts("test") == ["card number 0", "card number 1"]
    assert raw.layout.files == ("train", "test")
    assert raw.layout.names is None


@pytest.mark.usefixtures("cache")
def test_a_data_set_may_declare_its_label_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows: list[Row] = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table = datasets.Dataset.from_list(rows, features=features)
    table.to_parquet(os.fspath(tmp_path / "hub" / "data" / "train-0.parquet"))
    raw = read(tmp_path, dataset="hub")
    assert raw.layout.names == ["bad", "good"]
    assert raw.frame()["label"].to_list() == [1, 0]


@pytest.mark.usefixtures("cache")
def test_a_data_set_may_declare_the_names_of_its_label_sets(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["late", "broken"])
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(names)})
    rows: list[Row] = [{"text": "x", "labels": [1, 0]}, {"text": "y", "labels": []}]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table = datasets.Dataset.from_list(rows, features=features)
    table.to_parquet(os.fspath(tmp_path / "hub" / "data" / "train-0.parquet"))
    raw = read(tmp_path, dataset="hub", labelling="multiple")
    assert raw.layout.names == ["late", "broken"]
    data = Data.model_validate({"dataset": "hub", "labelling": "multiple"})
    frame = raw.frame()
    TOPICS.rows.normalize(frame, data, raw.layout.names)
    assert frame["labels"].to_list() == [["broken", "late"], []]


@pytest.mark.usefixtures("cache")
def test_a_data_set_without_the_split_or_the_column_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "hub" / "train.csv", parcels(3))
    (problem,) = refused(tmp_path, dataset="hub", test="dev")
    assert problem == "data.test: no split 'dev'; found train"
    (problem,) = refused(tmp_path, dataset="hub", columns={"text": "txet"})
    assert problem.startswith("data.dataset split train: expected a column 'txet'")
    assert problem.endswith("(set data.columns.text: text)")


def test_a_data_set_that_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.dataset org/name: cannot be loaded: "):
        hub.load("org/name", None, None, tmp_path)


def split(table: datasets.Dataset) -> HubSplit:
    return HubSplit("train", {"path": "hub"}, table)


def test_the_digest_does_not_depend_on_chunks() -> None:
    rows = parcels(20)
    whole = datasets.Dataset.from_list(rows)
    parts = [datasets.Dataset.from_list(some) for some in (rows[:3], rows[3:12], rows[12:])]
    chunked = datasets.concatenate_datasets(parts)
    chosen = datasets.Dataset.from_list([*rows, *parcels(5, "card")]).select(range(20))
    assert len(chunked.data.to_batches()) == 3
    assert split(whole).digest() == split(chunked).digest() == split(chosen).digest()


def test_the_digest_follows_rows_and_features() -> None:
    rows = parcels(4)
    names = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Value("large_string")}
    )
    tables = [
        datasets.Dataset.from_list(rows),
        datasets.Dataset.from_list(rows[::-1]),
        datasets.Dataset.from_list(rows[:3]),
        datasets.Dataset.from_list(rows, features=names),
    ]
    assert len({split(table).digest() for table in tables}) == len(tables)


def test_rows_are_numbered_over_chunks() -> None:
    parts = [datasets.Dataset.from_list(parcels(3)), datasets.Dataset.from_list(parcels(2))]
    source = split(datasets.concatenate_datasets(parts))
    (batch,) = source.batches(["label"])
    assert list(batch.numbers) == [1, 2, 3, 4, 5]
    assert [number for number, _ in source.rows()] == [1, 2, 3, 4, 5]
    assert (source.columns(), source.size(), list(source.blocks())) == (["text", "label"], 0, [])
