"""The layout of SQuAD 1.1 and 2.0: articles with paragraphs with questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


def is_squad(records: list[Any]) -> bool:
    """Whether the records of a JSON document are articles rather than rows."""
    return bool(records) and isinstance(records[0], dict) and "paragraphs" in records[0]


def flatten(document: Row) -> Iterator[Row]:
    """One row per question: id, title, context, question and answers.

    A question that is marked as impossible has no answers, whatever is listed.

    Raises:
        ValueError: another layout; the message names the place.
    """
    for article, here in _objects(document, "data", ""):
        for paragraph, there in _objects(article, "paragraphs", here):
            for question, _ in _objects(paragraph, "qas", there):
                yield {
                    "id": question.get("id"),
                    "title": article.get("title"),
                    "context": paragraph.get("context"),
                    "question": question.get("question"),
                    "answers": _answers(question),
                }


def _objects(parent: Row, name: str, where: str) -> Iterator[tuple[Row, str]]:
    place = f"{where}.{name}" if where else name
    children = parent.get(name)
    if not isinstance(children, list):
        raise ValueError(f"{place}: expected a list")
    for index, child in enumerate(children):
        if not isinstance(child, dict):
            raise ValueError(f"{place}[{index}]: expected an object")
        yield child, f"{place}[{index}]"


def _answers(question: Row) -> Any:
    """Answers as lists of texts and of offsets; unchanged if they are malformed."""
    if question.get("is_impossible") is True:
        return {"text": [], "answer_start": []}
    answers = question.get("answers")
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        return answers
    return {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
