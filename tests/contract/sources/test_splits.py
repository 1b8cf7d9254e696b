from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import DataError
from configs.schema import Data
from tasks.contract.sources import splits
from tests.support.sources import locate, refused
from tests.support.tables import Row, parcels, write_table

ROWS: list[Row] = [{"text": "x", "label": "a"}]


def test_every_missing_file_of_every_split_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "notes.txt").touch()
    problems = refused(
        tmp_path, train="a.csv", validation="notes.txt", test=["b.csv", "folder.csv"]
    )
    assert [problem.split(" (", maxsplit=1)[0] for problem in problems] == [
        "HERE/a.csv: no such file",
        "HERE/b.csv: no such file",
        "HERE/notes.txt: expected CSV, TSV, JSON, JSONL, Parquet or XLSX, each also .gz",
    ]
    (problem,) = refused(tmp_path, train="folder.csv")
    assert problem == "HERE/folder.csv: cannot be read: Is a directory"


def test_the_digest_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.csv", parcels(3))
    write_table(tmp_path / "c.csv", parcels(4))
    a, b, c = (locate(tmp_path, train=name).digest for name in ("a.csv", "b.csv", "c.csv"))
    assert a == b
    assert a != c


def test_the_digest_knows_which_split_a_file_is(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.csv", parcels(4))
    one = locate(tmp_path, train="a.csv", test="b.csv").digest
    other = locate(tmp_path, train="b.csv", test="a.csv").digest
    assert one != other


def expanded(folder: Path, *patterns: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in splits.expand(patterns, folder)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "c.jsonl", "deep/d.csv", "odd[1].csv"):
        write_table(tmp_path / name, ROWS)
    return tmp_path


def test_names_keep_their_order_and_globs_are_sorted(files: Path) -> None:
    assert expanded(files, "c.jsonl", "?.csv") == ["c.jsonl", "a.csv", "b.csv"]


def test_a_glob_reaches_below(files: Path) -> None:
    assert expanded(files, "**/d.csv") == ["deep/d.csv"]


def test_a_file_is_taken_once(files: Path) -> None:
    assert expanded(files, "b.csv", "[ab].csv") == ["b.csv", "a.csv"]


def test_brackets_of_a_file_name_or_its_folder_are_not_a_glob(files: Path) -> None:
    write_table(files / "some [old] files" / "a.csv", ROWS)
    assert expanded(files, "odd[1].csv") == ["odd[1].csv"]
    assert expanded(files / "some [old] files", "*.csv") == ["a.csv"]


def test_an_absolute_name_stays(files: Path) -> None:
    assert splits.expand([str(files / "a.csv")], files / "deep") == [files / "a.csv"]


def test_every_missing_file_is_told_with_a_near_name(files: Path) -> None:
    with pytest.raises(DataError) as caught:
        splits.expand(["a.cvs", "*.txt", "nowhere/a.csv"], files)
    assert [str(problem).replace(str(files), "HERE") for problem in caught.value.problems] == [
        "HERE/a.cvs: no such file (did you mean HERE/a.csv?)",
        "HERE/*.txt: no such file (file names are relative to the YAML)",
        "HERE/nowhere/a.csv: no such file (there is no folder HERE/nowhere)",
    ]


def test_a_source_of_two_splits_is_one_source_and_two_parts(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ROWS)
    sources = locate(tmp_path, train="a.csv", test="a.csv")
    name = str(tmp_path / "a.csv")
    assert (list(sources.by_name), list(sources.digests)) == ([name], [name])
    assert [(part.split, part.file) for part in splits.parts(sources)] == [
        ("train", name),
        ("test", name),
    ]


def test_required_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe not text")
    splits.require_files(Data.model_validate({"train": "a.csv"}).below(tmp_path))
    with pytest.raises(DataError, match="no such file"):
        splits.require_files(Data.model_validate({"train": "b.csv"}).below(tmp_path))
    splits.require_files(Data.model_validate({"dataset": "org/not-loaded"}).below(tmp_path))
