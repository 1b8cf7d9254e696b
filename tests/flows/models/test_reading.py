"""Rows are checked before a model sees the first of them."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from flows.models import reading
from flows.models.reading import Words
from tasks.contract.sources import formats
from tasks.contract.sources.base import Options, Unreadable
from tasks.contract.sources.text_files import STDIN
from tasks.workspace import Workspace

WORDS = Words("rows.jsonl", lambda number: f"row {number}", lambda name: f"rename {name}")
TEXT = {"text": "text"}


def require(*values: Any, **options: Any) -> None:
    rows = [(number, {"text": value}) for number, value in enumerate(values, 1)]
    reading.require_texts(rows, TEXT, WORDS, **options)


def problems(*values: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        require(*values)
    return [str(problem) for problem in caught.value.problems]


def test_every_row_without_text_is_named() -> None:
    assert problems("a", None, float("nan"), 0, ["a"], " ") == [
        "row 2: expected text in column 'text', found null",
        "row 3: expected text in column 'text', found NaN",
        "row 4: expected text in column 'text', found a number",
        "row 5: expected text in column 'text', found a list",
        "row 6: expected text in column 'text', found a blank text",
    ]


def test_of_many_rows_the_first_are_named_and_all_counted() -> None:
    *first, last = problems("a", *[None] * 1200)
    assert [one[:6] for one in first] == ["row 2:", "row 3:", "row 4:", "row 5:", "row 6:"]
    assert last.startswith("rows.jsonl: found 1,200 of 1,201 rows that cannot be predicted")
    assert "nothing was predicted" in last


def test_rows_that_lack_a_column_or_cannot_be_read_are_named() -> None:
    rows = [(1, {"text": "a"}), (2, {"txt": "secret"}), Unreadable(3, "not valid JSON", "{")]
    with pytest.raises(DataError) as caught:
        reading.require_texts(rows, TEXT, WORDS)
    assert str(caught.value).splitlines() == [
        "row 2: expected a column 'text', found 'txt' (rename text)",
        "row 3: not valid JSON",
    ]


def test_a_column_of_numbers_is_not_the_text() -> None:
    rows = [(n, {"text": one, "body": "x"}) for n, one in enumerate(("1", "2.5", "1e3"), 1)]
    with pytest.raises(DataError) as caught:
        reading.require_texts(rows, TEXT, WORDS)
    assert str(caught.value) == (
        "rows.jsonl: expected text in column 'text', found only numbers (rename text)"
    )
    reading.require_texts([*rows, (4, {"text": "two"})], TEXT, WORDS)
    reading.require_texts(rows[:1], TEXT, WORDS)


def test_a_blank_text_that_is_looked_up_does_not_hide_numbers() -> None:
    inputs = {"question": "question", "context": "context"}
    rows = [(n, {"question": "who?", "context": c, "id": n}) for n, c in enumerate(["", "1", "2"])]
    with pytest.raises(DataError, match="expected text in column 'context', found only numbers"):
        reading.require_texts(rows, inputs, WORDS, ["context"])
    blank = [(n, {**row, "context": None if n else " "}) for n, row in rows]
    reading.require_texts(blank, inputs, WORDS, ["context"])
    reading.require_texts([*rows, (3, {**rows[0][1], "context": "a"})], inputs, WORDS, ["context"])


def test_numbers_without_another_column_are_texts() -> None:
    require("2020", "42")
    require()


def test_a_text_that_is_looked_up_may_be_missing_but_not_a_number() -> None:
    require("a", "", None, optional=["text"])
    with pytest.raises(DataError, match="row 1: expected text in column 'text', found a number"):
        require(3, optional=["text"])


def test_columns_come_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"id": 7, "text": "b"}\n', encoding="utf-8")
    assert reading.columns_of(formats.open_file(path)) == ["text", "id"]


def test_the_preferred_name_is_read_and_a_missing_one_is_named() -> None:
    names = {"text": ["review", "text"]}
    assert reading.find_columns(names, ["text", "review"], WORDS) == {"text": "review"}
    assert reading.find_columns(names, ["text"], WORDS) == {"text": "text"}
    with pytest.raises(DataError) as caught:
        reading.find_columns(names | {"text_pair": ["Betreff"]}, ["id"], WORDS)
    assert str(caught.value).splitlines() == [
        "rows.jsonl: expected a column 'review', found 'id' (rename text)",
        "rows.jsonl: expected a column 'Betreff', found 'id' (rename text_pair)",
    ]


def test_several_files_are_not_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text\nhello\n", encoding="utf-8")
    assert reading.find_file("a.csv") == Path("a.csv")
    with pytest.raises(DataError, match=r"expected one file, found 2"):
        reading.find_file("*.csv")
    with pytest.raises(DataError, match=r"^inbox\.xlsx: no such file$"):
        reading.find_file("inbox.xlsx")


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"id\ttext\n1\ta, b\n", {"id": "1", "text": "a, b"}),
        (b'id,"te\txt"\n1,a\n', {"id": "1", "te\txt": "a"}),
        (b'[{"text": "a\\tb"}]', {"text": "a\tb"}),
    ],
)
def test_standard_input_has_the_format_of_its_first_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, content: bytes, row: dict[str, str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    with reading.opened(STDIN, Options(), workspace) as source:
        assert list(source.rows()) == [(1, row)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


class Stdin:
    """Standard input of a process."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]


def test_standard_input_is_read_twice_and_leaves_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b'{"text": "a"}\n'))
    with reading.opened(STDIN, Options(), workspace) as source:
        assert list(source.rows()) == list(source.rows()) == [(1, {"text": "a"})]
    assert list(workspace.temporary.iterdir()) == []


def test_errors_name_standard_input(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b'text\n"a'))
    with (
        pytest.raises(DataError, match=r"^standard input:2: not valid CSV"),
        reading.opened(STDIN, Options(), workspace) as source,
    ):
        list(source.rows())


def test_a_named_pipe_is_read_twice(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("text\nhello\n",))
    writer.start()
    with reading.opened(path, Options(), workspace) as source:
        assert list(source.rows()) == list(source.rows()) == [(1, {"text": "hello"})]
    writer.join()
