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
        (CommaSeparated, 'a,b\n"1\n1",2\n\n3,4\n5\n6,7\n', {1: 2, 2: 5, 3: 6, 4: 7}),
        (JsonLines, '{"a": 1}\n\n  \n{"a": 2}\n', {1: 1, 2: 4}),
        (JsonDocument, '[{"a": 1},\n{"a": 2}]', {}),
    ],
)
def test_a_row_begins_on_a_line(
    kind: type[CommaSeparated | JsonLines | JsonDocument],
    text: str,
    lines: dict[int, int],
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8", newline="")
    source = kind(path)
    numbers = [one.row if isinstance(one, Unreadable) else one[0] for one in source.rows()]
    assert source.lines(numbers) == lines
    assert source.lines([2]) == {row: line for row, line in lines.items() if row == 2}
