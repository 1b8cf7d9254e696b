"""Requests that are refused before a model is looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from flows.models.prediction import Request, stream
from tasks.workspace import Workspace


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"output": "xml"}, "--to: expected csv or jsonl, found 'xml'"),
        ({"columns": ["review"]}, "--column review: expected NAME=YOURS"),
        ({"question": " "}, "--question: the question is empty"),
        ({"question": "why"}, "--question: expected documents to look it up in"),
        ({"file": "missing.csv"}, "missing.csv"),
    ],
)
def test_mistakes_of_a_request_are_told_at_once(
    tmp_path: Path, request_: dict[str, Any], words: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nhello\n", encoding="utf-8")
    made = Request("nobody", **{"file": str(rows), **request_})
    if "question" in request_:
        made = Request("nobody", **request_)
    with pytest.raises(DataError) as caught:
        next(stream(Workspace.open(tmp_path / "home"), made))
    assert words in str(caught.value)
