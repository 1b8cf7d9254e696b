"""Answers of a model to the test rows, in chunks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.arrow import MappedTable
from tasks.champion import answers
from tasks.progress import Progress, Update, listening
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


@pytest.fixture
def rows(prepared: Prepared) -> MappedTable:
    return MappedTable(prepared.validated.stored.path / "test.arrow")


def echo(table: pd.DataFrame) -> pd.DataFrame:
    """Answers with the text itself."""
    return table.rename(columns={"text": "answer"})


def test_answers_keep_the_order_and_each_chunk_is_seen_once(
    rows: MappedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "CHUNK", 5)
    heard: list[Update] = []
    seen: list[tuple[list[str], list[str]]] = []

    def observe(table: pd.DataFrame, answered: pd.DataFrame) -> None:
        seen.append((list(table["text"]), list(answered["answer"])))

    with listening(heard.append):
        found = answers.ask(echo, rows, ["text"], observe)
    texts = rows.column("text").to_pylist()
    assert list(found["answer"]) == texts
    assert [text for chunk, _ in seen for text in chunk] == texts
    assert all(chunk == answered for chunk, answered in seen)
    assert heard[-1] == Progress("evaluating", {"done": len(texts), "total": len(texts)})


def test_kept_answers_are_read_back(rows: MappedTable, tmp_path: Path) -> None:
    found = answers.ask(echo, rows, ["text"])
    answers.save(found, tmp_path / "answers")
    pd.testing.assert_frame_equal(answers.load(tmp_path / "answers"), found)


def test_the_time_of_a_row_is_positive(rows: MappedTable) -> None:
    assert answers.latency(echo, rows, ["text"]) > 0
