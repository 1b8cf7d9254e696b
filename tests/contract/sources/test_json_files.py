from __future__ import annotations

from typing import Any

import pytest

from tasks.contract.sources.json_files import flatten, is_squad

Row = dict[str, Any]


def document(*questions: Row) -> Row:
    paragraph = {"context": "It is in Oslo.", "qas": list(questions)}
    return {"version": "2.0", "data": [{"title": "Shop", "paragraphs": [paragraph]}]}


ANSWER = {"text": "Oslo", "answer_start": 9}


def test_each_question_becomes_a_row() -> None:
    first = {"id": "q1", "question": "Where?", "answers": [ANSWER, {**ANSWER, "extra": 1}]}
    second = {"id": "q2", "question": "Who?", "answers": []}
    made = document(first, second)
    made["data"] += made["data"]
    rows = list(flatten(made))
    assert len(rows) == 4
    assert rows[0] == {
        "id": "q1",
        "title": "Shop",
        "context": "It is in Oslo.",
        "question": "Where?",
        "answers": {"text": ["Oslo", "Oslo"], "answer_start": [9, 9]},
    }
    assert rows[1]["answers"] == {"text": [], "answer_start": []}


@pytest.mark.parametrize("answers", [[], [ANSWER], None])
def test_an_impossible_question_has_no_answer(answers: Any) -> None:
    question = {"question": "Who?", "is_impossible": True, "answers": answers}
    question["plausible_answers"] = [ANSWER]
    (row,) = flatten(document(question))
    assert row["answers"] == {"text": [], "answer_start": []}


def test_what_is_missing_is_left_to_the_contract() -> None:
    (row,) = flatten(document({}))
    assert row == {
        "id": None,
        "title": "Shop",
        "context": "It is in Oslo.",
        "question": None,
        "answers": None,
    }
    (row,) = flatten(document({"answers": ["Oslo"]}))
    assert row["answers"] == ["Oslo"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({}, "data: expected a list"),
        ({"data": [3]}, "data[0]: expected an object"),
        ({"data": [{"paragraphs": []}, {}]}, "data[1].paragraphs: expected a list"),
        ({"data": [{"paragraphs": [{}]}]}, "data[0].paragraphs[0].qas: expected a list"),
        (
            {"data": [{"paragraphs": [{"qas": ["secret"]}]}]},
            "data[0].paragraphs[0].qas[0]: expected an object",
        ),
    ],
)
def test_another_layout_is_refused_where_it_begins(made: Row, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        list(flatten(made))
    assert str(caught.value) == message


def test_articles_are_told_from_rows() -> None:
    assert is_squad(document()["data"])
    assert not is_squad([{"text": "x"}])
    assert not is_squad([3])
    assert not is_squad([])
