from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tasks.contract.rows import layout as layouts
from tasks.contract.rows.layout import Layout
from tasks.contract.sources.base import Block, Unreadable
from tasks.contract.sources.delimited import CommaSeparated
from tasks.contract.sources.splits import Part
from tests.support.sources import read, refused
from tests.support.tables import Row, parcels, write_table

NAMES = st.text(
    st.sampled_from("#:-?&*!|>'\\\"%@`{}[], .~é1") | st.characters(exclude_categories=["Cs", "Cc"])
)


def test_rows_know_their_split_file_and_number(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(3))
    write_table(tmp_path / "b.jsonl.gz", parcels(2, "letter"))
    write_table(tmp_path / "test.parquet", parcels(1, "card"))
    raw = read(tmp_path, train=["a.csv", "b.*"], test="test.parquet")
    names = [str(tmp_path / name) for name in ("a.csv", "b.jsonl.gz", "test.parquet")]
    assert raw.layout == Layout({"text": "text", "label": "label"}, tuple(names), None)
    assert [(part.split, part.file) for part, _ in raw.parts] == [
        ("train", names[0]),
        ("train", names[1]),
        ("test", names[2]),
    ]
    assert list(raw.frame().columns) == ["row", "text", "label"]
    assert raw.frame()["row"].to_list() == [1, 2, 3, 1, 2]
    assert raw.frame("test")["row"].to_list() == [1]
    assert raw.texts("test") == ["card number 0"]


def test_a_file_of_two_splits_is_read_for_each(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(2))
    raw = read(tmp_path, train="a.csv", test="a.csv")
    assert raw.layout.files == (str(tmp_path / "a.csv"),)
    assert raw.texts("train") == raw.texts("test") == ["parcel number 0", "parcel number 1"]


def test_unreadable_rows_keep_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,a\ny\nz,b\n", encoding="utf-8")
    ((_, (chunk,)),) = read(tmp_path, train="a.csv").parts
    assert chunk.unreadable == [Unreadable(2, "expected 2 fields, found 1", "y")]
    assert chunk.frame()["row"].to_list() == [1, 3]


def test_a_header_alone_is_a_chunk_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n", encoding="utf-8")
    ((_, (chunk,)),) = read(tmp_path, train="a.csv").parts
    assert list(chunk.frame().columns) == ["row", "text", "label"]
    assert (len(chunk.frame()), chunk.unreadable) == (0, [])


def test_a_value_that_a_row_lacks_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": 1}\n{"label": [2]}\n', "utf-8")
    frame = read(tmp_path, train="a.jsonl").frame()
    assert frame["text"].to_list() == ["x", None]
    assert frame["label"].to_list() == [1, [2]]


def test_large_files_come_in_chunks(tmp_path: Path) -> None:
    rows: list[Row] = [{"text": "x" * 1_500_000, "label": n} for n in range(7)]
    write_table(tmp_path / "a.jsonl", rows)
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as stream:
        stream.writelines(["y" * 3_000_000 + "\n"] * 3)
    ((_, chunks),) = read(tmp_path, train="a.jsonl").parts
    weights = [
        sum(map(len, chunk.values("text"))) + sum(len(one.raw) for one in chunk.unreadable)
        for chunk in chunks
    ]
    assert len(chunks) > 3
    assert max(weights) < 8_000_000
    assert [row for chunk in chunks for row in chunk.frame()["row"]] == list(range(1, 8))
    assert [one.row for chunk in chunks for one in chunk.unreadable] == [8, 9, 10]


def test_a_part_may_be_a_block_of_a_file(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", parcels(4))
    content = path.read_bytes()
    start = content.index(b"parcel number 2")
    block = Block(start, len(content), ("text", "label"))
    part = Part("train", CommaSeparated(path), block)
    (batch,) = layouts.read(part, {"text": "text", "label": "label"})
    assert batch.values("text") == ["parcel number 2", "parcel number 3"]
    assert batch.numbers == [1, 2]


def test_columns_are_mapped(tmp_path: Path) -> None:
    rows = [{"review": "x", "stars": "5", "label": "other", "customer": "c1"}]
    write_table(tmp_path / "a.csv", rows)
    raw = read(
        tmp_path,
        train="a.csv",
        columns={"text": "review", "label": "stars"},
        group_column="customer",
    )
    assert raw.frame()[["text", "label", "group"]].to_numpy().tolist() == [["x", "5", "c1"]]
    assert raw.layout.mapping == {"text": "review", "label": "stars", "group": "customer"}


def test_an_optional_column_is_read_where_it_is(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"text": "x", "text_pair": "y", "label": "a"}])
    assert read(tmp_path, train="a.csv").frame()["text_pair"].to_list() == ["y"]
    write_table(tmp_path / "b.csv", [{"text": "x", "label": "a"}])
    assert "text_pair" not in read(tmp_path, train="b.csv").layout.mapping
    (problem,) = refused(tmp_path, train="b.csv", columns={"text_pair": "second"})
    assert "expected a column 'second'" in problem


def test_a_missing_column_suggests_a_near_name(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"Texts": "x", "lable": "a", "other": "y"}])
    assert refused(tmp_path, train="a.csv") == [
        "HERE/a.csv: expected a column 'text', found 'Texts', 'lable', 'other' "
        "(set data.columns.text: Texts)",
        "HERE/a.csv: expected a column 'label', found 'Texts', 'lable', 'other' "
        "(set data.columns.label: lable)",
    ]


@given(NAMES)
@example("yes")
@example("text: x")
@example("#")
@example("1:30")
def test_a_suggested_name_is_read_by_yaml(name: str) -> None:
    assert YAML(typ="safe", pure=True).load(f"a: {layouts._yaml(name)}") == {"a": name}


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("|", "vertical bars")])
def test_another_separator_is_named(mark: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"text{mark}label\nx{mark}a\n")
    for problem in refused(tmp_path, train="a.csv", delimiter=","):
        advice = f'its columns are separated by {word}: set data.delimiter: "{mark}"'
        assert problem.endswith(f"({advice})")


def test_a_column_in_use_is_not_suggested(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"text": "x", "label": "a", "customr": 1}])
    (problem,) = refused(tmp_path, train="a.csv", group_column="customer")
    assert problem.endswith("(set data.group_column: customr)")
    (problem,) = refused(tmp_path, train="a.csv", columns={"label": "texts"})
    assert "data.columns.label: text" not in problem


def test_every_broken_file_is_told_at_once(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"text": "x"}])
    (tmp_path / "b.csv").touch()
    problems = refused(tmp_path, train=["a.csv", "b.csv"])
    assert [problem.partition(":")[0] for problem in problems] == ["HERE/a.csv", "HERE/b.csv"]


def test_a_mapping_of_an_unknown_column_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", parcels(1))
    (problem,) = refused(tmp_path, train="a.csv", columns={"txt": "text"})
    assert "unknown column 'txt'; topics has text, text_pair, label" in problem


def test_text_in_place_of_column_names_is_not_shown(tmp_path: Path) -> None:
    first = "I would like to know when my second parcel arrives"
    (tmp_path / "train.csv").write_text(f"{first},late\nWhere is it?,late\n", encoding="utf-8")
    problems = refused(tmp_path, train="train.csv")
    assert first not in "".join(problems)
    assert all("a name of 50 characters" in problem for problem in problems)
    assert all("begin with a line of column names?" in problem for problem in problems)


def test_names_that_may_be_text_are_not_quoted() -> None:
    names = ["text", "jane@example.com", "one two three four five"]
    quoted = "'text', a name of 16 characters, a name of 23 characters"
    assert layouts.quote_names(names) == quoted
    many = [f"column {n}" for n in range(14)]
    assert layouts.quote_names(many).endswith("'column 11' and 2 more")


def test_only_training_rows_need_the_column_of_the_window() -> None:
    mapping = {"text": "review", "window": "at"}
    assert layouts.columns_of("train", mapping) == mapping
    assert layouts.columns_of("test", mapping) == {"text": "review"}
