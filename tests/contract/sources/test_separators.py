"""Delimited text is read as it was written, or it is asked; it is never divided otherwise."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tasks.contract.sources import formats, separators
from tasks.contract.sources.base import Options
from tasks.contract.sources.separators import Separator

FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = st.sampled_from(["a", "é", "，", '"', ",", ";", "\t", "|", "\n", "\r\n", " ", "sep="])
FIELDS = st.lists(PIECES, max_size=4).map("".join)
NAMES = st.text("abcäß ,;|", min_size=1, max_size=5).filter(lambda name: name == name.strip())
LINES = [b"sep=;\r\n", b'"sep=;"\n', b"SEP=;\n"]


def read(path: Path, **options: Any) -> tuple[list[str], list[list[str]]]:
    source = formats.open_file(path, Options(**options))
    return source.columns(), [list(item[1].values()) for item in source.rows()]  # type: ignore[union-attr]


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return str(caught.value).replace(str(path), "FILE")


def detected(text: str, own: str = ",") -> Separator:
    return separators.detect(io.StringIO(text, newline=""), own, quotes=True)


@FOLDER
@given(
    names=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    data=st.data(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "gb18030", "cp932"]),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ending=st.sampled_from(["\n", "\r\n"]),
    kind=st.sampled_from(["csv", "tsv"]),
    declared=st.booleans(),
)
@example(["a,b", "c"], None, "utf-8", ";", csv.QUOTE_MINIMAL, "\n", "csv", False)
def test_what_a_writer_writes_comes_back_or_is_asked(
    tmp_path: Path,
    names: list[str],
    data: st.DataObject | None,
    encoding: str,
    delimiter: str,
    quoting: Any,
    ending: str,
    kind: str,
    declared: bool,
) -> None:
    row = st.lists(FIELDS, min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, max_size=5)) if data else [["1,2", "3"]]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=ending).writerows(
        [names, *rows]
    )
    content = stream.getvalue().encode(encoding, "ignore")
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(content)
    kept = [[value.encode(encoding, "ignore").decode(encoding) for value in row] for row in rows]
    heads = [name.encode(encoding, "ignore").decode(encoding) for name in names]
    options = {"delimiter": delimiter} if declared else {}
    if not encoding.startswith("utf"):
        options["encoding"] = encoding
    try:
        found = read(path, **options)
    except DataError:
        # Names that lost their letters are empty or the same.
        assert not declared or len({name.strip() for name in heads} - {""}) < len(heads)
        return
    assert found == ([name.strip() for name in heads], [row for row in kept if row])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("options", [{}, {"delimiter": ";"}])
def test_the_line_of_excel_names_the_separator(
    tmp_path: Path, line: bytes, options: dict[str, str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(line + b"a,b;c\r\n1,2;3\r\n")
    assert read(path, **options) == (["a,b", "c"], [["1,2", "3"]])
    source = formats.open_file(path, Options(**options))
    assert [line for _, line, _ in source.find({1})] == [3]
    assert source.reading() == {"encoding": "utf-8", "delimiter": ";"}


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_rows_decide_where_names_can_be_divided_in_two_ways(mark: str) -> None:
    text = f"id{mark}text, long\n1{mark}a\n2{mark}b, c, d\n"
    assert detected(text) == Separator(mark)


def test_a_broken_row_decides_nothing() -> None:
    rows = "".join(f"{n};a;b\n" for n in range(20))
    assert detected(f"id;text, long;label\n{rows}21;a\n").delimiter == ";"


def test_the_own_separator_is_taken_where_none_divides_the_names() -> None:
    assert detected("text\na; b\n") == Separator(",")
    assert detected("text\na, b\n", "\t") == Separator("\t")


def test_names_and_rows_that_are_divided_in_two_ways_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text;x,label;y\na;b,c;d\n")
    choice = 'set data.delimiter: "," or data.delimiter: ";"'
    assert refused(path) == (
        f"FILE:1: its columns can be divided by comma as well as by semicolon ({choice})"
    )
    assert read(path, delimiter=",") == (["text;x", "label;y"], [["a;b", "c;d"]])
    assert read(path, delimiter=";") == (["text", "x,label", "y"], [["a", "b,c", "d"]])
    assert read(path, delimiter=";", usual_layout=True) == read(path, delimiter=";")
    assert "can be divided" in refused(path, delimiter="|", usual_layout=True)


def test_the_usual_separator_does_not_win_against_the_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,b\n")
    assert read(path, delimiter=";", usual_layout=True) == (["text", "label"], [["a", "b"]])


@pytest.mark.parametrize(("kind", "usual"), [("csv", ";"), ("csv", "^"), ("tsv", ",")])
def test_one_column_has_the_usual_separator_but_tsv_its_own(
    tmp_path: Path, kind: str, usual: str
) -> None:
    path = tmp_path / f"rows.{kind}"
    path.write_text("text\na, b\n")
    assert read(path, delimiter=usual, usual_layout=True) == (["text"], [["a, b"]])


def test_a_row_with_other_fields_is_kept_with_its_separator(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text;label\na;b\nc;d;e\n")
    assert [getattr(item, "raw", "") for item in formats.open_file(path).rows()] == ["", "c;d;e"]


def test_a_block_has_the_separator_and_encoding_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = "".join(f"Größe {n} passt;ß\r\n" for n in range(40))
    path.write_bytes(f"sep=;\r\ntext;läbel\r\n{rows}".encode("cp1252"))
    source = formats.open_file(path)
    parts = list(source.blocks(100))
    assert len(parts) > 5
    together = [item[1] for part in parts for item in source.rows(part)]  # type: ignore[union-attr]
    assert together == [item[1] for item in source.rows()]  # type: ignore[union-attr]
    assert together[-1] == {"text": "Größe 39 passt", "läbel": "ß"}


def test_a_byte_of_another_character_is_no_separator(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text|label\n" + ("質量|好\n" * 50).encode("big5"))
    source = formats.open_file(path, Options(encoding="big5"))
    assert list(source.blocks(100)) == []
    assert source.columns() == ["text", "label"]
