from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from configs.schema import Data
from tasks.applications import base as applications
from tasks.contract import frames
from tasks.contract.frames import Raw, Sources
from tasks.errors import DataError
from tests.support.tables import Row, parcels, write_table

TOPICS = applications.get("topics")


def located(folder: Path, **data: Any) -> Sources:
    return frames.locate(Data.model_validate(data).below(folder))


def read(folder: Path, **data: Any) -> Raw:
    section = Data.model_validate(data).below(folder)
    return frames.read(section, TOPICS, frames.locate(section))


def texts(raw: Raw, split: str) -> list[Any]:
    return raw.frame.loc[raw.frame["split"] == split, "text"].to_list()


def refused(folder: Path, **data: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return [str(problem).replace(str(folder), "HERE") for problem in caught.value.problems]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what ``datasets`` unpacks out of the home folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def test_rows_know_their_split_file_and_number(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.jsonl.gz", parcels(2, "letter"))
    write_table(tmp_path / "test.parquet", parcels(1, "card"))
    raw = read(tmp_path, train=["a.csv", "b.*"], test="test.parquet")
    assert list(raw.frame.columns) == ["split", "file", "row", "text", "label"]
    assert raw.files == [str(tmp_path / name) for name in ("a.csv", "b.jsonl.gz", "test.parquet")]
    assert raw.frame["file"].to_list() == [0, 0, 0, 1, 1, 2]
    assert raw.frame["row"].to_list() == [1, 2, 3, 1, 2, 1]
    assert texts(raw, "test") == ["card number 0"]


def test_unreadable_rows_keep_their_place(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(1))
    (tmp_path / "a.csv").write_text("text,label\nx,a\ny\n", encoding="utf-8")
    place = {"split": "train", "file": str(tmp_path / "a.csv"), "row": 2}
    assert read(tmp_path, train="a.csv").unreadable == [
        place | {"reasons": ["expected 2 fields, found 1"], "raw": "y"}
    ]


def test_columns_are_mapped(tmp_path: Path) -> None:
    rows = [{"review": "x", "stars": "5", "label": "other", "customer": "c1"}]
    write_table(tmp_path / "a.csv", rows)
    raw = read(
        tmp_path, train="a.csv", columns={"text": "review", "label": "stars"}, group="customer"
    )
    assert raw.frame[["text", "label", "group"]].to_numpy().tolist() == [["x", "5", "c1"]]


def test_a_missing_column_suggests_a_near_name(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"Texts": "x", "lable": "a", "other": "y"}])
    assert refused(tmp_path, train="a.csv") == [
        "HERE/a.csv: expected a column 'text', found 'Texts', 'lable', 'other' "
        "(set data.columns.text: Texts)",
        "HERE/a.csv: expected a column 'label', found 'Texts', 'lable', 'other' "
        "(set data.columns.label: lable)",
    ]


def test_a_column_in_use_is_not_suggested(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"text": "x", "label": "a", "customr": 1}])
    (problem,) = refused(tmp_path, train="a.csv", group="customer")
    assert problem.endswith("(set data.group: customr)")
    (problem,) = refused(tmp_path, train="a.csv", columns={"label": "texts"})
    assert "data.columns.label: text" not in problem


def test_every_broken_file_is_told_at_once(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"text": "x"}])
    (tmp_path / "b.csv").touch()
    problems = refused(tmp_path, train=["a.csv", "b.csv"])
    assert [problem.partition(":")[0] for problem in problems] == ["HERE/a.csv", "HERE/b.csv"]


def test_every_missing_file_of_every_split_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "notes.txt").touch()
    problems = refused(
        tmp_path, train="a.csv", validation="notes.txt", test=["b.csv", "folder.csv"]
    )
    assert [problem.split(" (", maxsplit=1)[0] for problem in problems] == [
        "HERE/a.csv: no such file",
        "HERE/b.csv: no such file",
        "HERE/notes.txt: expected CSV, TSV, JSON, JSONL or Parquet, each also .gz",
    ]
    (problem,) = refused(tmp_path, train="folder.csv")
    assert problem == "HERE/folder.csv: cannot be read: Is a directory"


def test_a_mapping_of_an_unknown_column_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(1))
    (problem,) = refused(tmp_path, train="a.csv", columns={"txt": "text"})
    assert "unknown column 'txt'; topics has text, text_pair, label" in problem


def test_the_digest_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.csv", parcels(3))
    write_table(tmp_path / "c.csv", parcels(4))
    a, b, c = (located(tmp_path, train=name).digest for name in ("a.csv", "b.csv", "c.csv"))
    assert a == b
    assert a != c


def test_the_digest_knows_which_split_a_file_is(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.csv", parcels(4))
    one = located(tmp_path, train="a.csv", test="b.csv").digest
    other = located(tmp_path, train="b.csv", test="a.csv").digest
    assert one != other


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "names", [("train.csv", "test.csv"), ("data/train-0.parquet", "data/test-0.parquet")]
)
def test_a_folder_in_hub_layout_is_a_data_set(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, rows in zip(names, (parcels(3), parcels(2, "card")), strict=True):
        write_table(tmp_path / "hub" / name, rows)
    raw = read(tmp_path, dataset="hub", test="test")
    assert texts(raw, "train") == [f"parcel number {n}" for n in range(3)]
    assert texts(raw, "test") == ["card number 0", "card number 1"]
    assert raw.files == ["train", "test"]
    assert raw.names is None


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
    assert raw.names == ["bad", "good"]
    assert raw.frame["label"].to_list() == [1, 0]


@pytest.mark.usefixtures("cache")
def test_a_data_set_may_declare_the_names_of_its_label_sets(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["late", "broken"])
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(names)})
    rows: list[Row] = [{"text": "x", "labels": [1, 0]}, {"text": "y", "labels": []}]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table = datasets.Dataset.from_list(rows, features=features)
    table.to_parquet(os.fspath(tmp_path / "hub" / "data" / "train-0.parquet"))
    raw = read(tmp_path, dataset="hub", labelling="multiple")
    assert raw.names == ["late", "broken"]
    data = Data.model_validate({"dataset": "hub", "labelling": "multiple"})
    TOPICS.normalize(raw.frame, data, raw.names)
    assert raw.frame["labels"].to_list() == [["broken", "late"], []]


@pytest.mark.usefixtures("cache")
def test_a_data_set_without_the_split_or_the_column_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "hub" / "train.csv", parcels(3))
    (problem,) = refused(tmp_path, dataset="hub", test="dev")
    assert problem == "data.test: no split 'dev'; found train"
    (problem,) = refused(tmp_path, dataset="hub", columns={"text": "txet"})
    assert problem.startswith("data.dataset split train: expected a column 'txet'")
    assert problem.endswith("(set data.columns.text: text)")


def test_text_in_place_of_column_names_is_not_shown(tmp_path: Path) -> None:
    first = "I would like to know when my second parcel arrives"
    (tmp_path / "train.csv").write_text(f"{first},late\nWhere is it?,late\n", encoding="utf-8")
    problems = refused(tmp_path, train="train.csv")
    assert first not in "".join(problems)
    assert all("a name of 50 characters" in problem for problem in problems)
    assert all("begin with a line of column names?" in problem for problem in problems)
