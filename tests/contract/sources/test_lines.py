"""The lines of a file on which its rows begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.contract.sources.base import Unreadable
from tasks.contract.sources.delimited import CommaSeparated
from tasks.contract.sources.json_files import JsonDocument, JsonLines


@pytest.mark.parametrize(
    ("kind", "text", "lines"),
    [
        (CommaSeparated, "a,b\n1,2\n3,4\n", {1: 2, 2: 3}),
        (CommaSeparated, "a,b\r\n\r\n1,2\r\n", {1: 3}),
        (CommaSeparated, 'a,b\n"1\n1",2\n\n3,4\n5\n6,7\n', {1: 2, 2: 5, 4: 7}),
        (JsonLines, '{"a": 1}\n\n  \n{"a": 2}\n[]\n', {1: 1, 2: 4}),
        (JsonDocument, '[{"a": 1},\n{"a": 2}]', {1: None, 2: None}),
    ],
)
def test_a_row_begins_on_a_line(
    kind: type[CommaSeparated | JsonLines | JsonDocument],
    text: str,
    lines: dict[int, int | None],
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8", newline="")
    source = kind(path)
    rows = dict(one for one in source.rows() if not isinstance(one, Unreadable))
    found = list(source.find(range(9)))
    assert {number: line for number, line, _ in found} == lines
    assert {number: row for number, _, row in found} == rows
    assert [number for number, _, _ in source.find([1, 9])] == [1]
