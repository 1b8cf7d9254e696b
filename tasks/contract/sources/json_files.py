"""JSON Lines, and JSON documents. Both may be gzip.

A document is a list of objects, an object with one as ``data``, or has the layout of SQuAD 1.1 and
2.0: articles with paragraphs with questions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from configs.errors import DataError
from configs.language import english
from tasks.contract.sources import blocks
from tasks.contract.sources.base import BLOCK_BYTES, Block, Row, Rows, Unreadable, union
from tasks.contract.sources.text_files import TextFile

REPEATED: Final = english("a key is there twice")
ONE_PER_LINE: Final = english("a file with one JSON object a line is JSONL; rename it to .jsonl")
IN_A_LIST: Final = english("a file with all rows in one list is JSON; rename it to .json")
BY_COLUMN: Final = english("write each row as an object, in pandas with to_json(orient='records')")


class JsonFile(TextFile):
    """A file of objects, which need not have the same keys."""

    same_columns = False
    expected: ClassVar[str]
    lists: ClassVar[str]
    """What to do if rows are lists."""

    def columns(self) -> list[str]:
        return self._keys

    @cached_property
    def _keys(self) -> list[str]:
        """The keys of all rows that can be read, so that no row decides by its place."""
        keys = union(self.rows())
        if not keys:
            self._require_rows()
        return keys

    def _require_rows(self) -> None:
        """Refuse a file of which no row can be read."""
        first: Unreadable | None = None
        for item in self.rows():
            if not isinstance(item, Unreadable):
                return
            first = first or item
        message = english(
            "expected {expected}, found none that can be read", expected=self.expected
        )
        if first:
            message = english(
                "{message}; row {row:d}: {reason}",
                message=message,
                row=first.row,
                reason=first.reason,
            )
        advice = self.lists if first and first.raw.lstrip().startswith("[") else ""
        raise DataError.at(self.place, message, advice)


class JsonLines(JsonFile):
    """A file with one JSON object per line."""

    expected = english("one JSON object a line")
    lists = IN_A_LIST

    def rows(self, block: Block | None = None) -> Rows:
        """Each object; another line that is not blank cannot be read."""
        with self.text(block) as stream:
            for number, line in enumerate(filter(str.strip, stream), 1):
                row = _row(line)
                if isinstance(row, dict):
                    yield number, row
                else:
                    yield Unreadable(number, row, line.rstrip("\r\n"))

    def find(self, rows: Collection[int]) -> Iterator[tuple[int, int, Row]]:
        with self.text() as stream:
            filled = ((line, text) for line, text in enumerate(stream, 1) if text.strip())
            for number, (line, text) in enumerate(filled, 1):
                if number in rows and isinstance(row := _row(text), dict):
                    yield number, line, row

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        if self.encoding.keeps_ascii and blocks.is_divisible(self.path, size):
            yield from blocks.cut(self.path, size, self.encoding.mark)


def _row(line: str) -> Row | str:
    """The object of a line, or why there is none."""
    try:
        row = json.loads(line, object_pairs_hook=json_object)
    except (ValueError, RecursionError):
        return english("not valid JSON")
    if "\\u" in line and not is_unicode(row):
        return english("half of a surrogate pair")
    if has_repeated(row):
        return REPEATED
    return row if isinstance(row, dict) else english("expected a JSON object")


class JsonDocument(JsonFile):
    """A file with one JSON document, which is read into memory."""

    expected = english("a list of JSON objects")
    lists = BY_COLUMN

    def rows(self, block: Block | None = None) -> Rows:
        """Each object of the list; another element cannot be read."""
        with self.text() as stream:
            text = stream.read()
        escaped = "\\u" in text
        for number, row in enumerate(_records(self.path, text), 1):
            if not isinstance(row, dict):
                yield Unreadable(number, english("expected a JSON object"), json.dumps(row))
            elif escaped and not is_unicode(row):
                yield Unreadable(number, english("half of a surrogate pair"), json.dumps(row))
            elif has_repeated(row):
                raw = row.pairs if isinstance(row, _Repeated) else row
                yield Unreadable(number, REPEATED, json.dumps(raw))
            else:
                yield number, row


def _records(path: Path, text: str) -> list[Any]:
    try:
        document = json.loads(text, object_pairs_hook=json_object)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        advice = ONE_PER_LINE if error.msg == "Extra data" else ""
        raise DataError.at(where, english("not valid JSON: {msg}", msg=error.msg), advice) from None
    except (ValueError, RecursionError):
        raise DataError.at(path, english("not valid JSON")) from None
    records = document.get("data") if isinstance(document, dict) else document
    if not isinstance(records, list):
        message = english(
            "expected a list of JSON objects, an object with one as `data`, or SQuAD's layout"
        )
        nested = isinstance(document, dict) and any(
            isinstance(v, list | dict) for v in document.values()
        )
        raise DataError.at(path, message, BY_COLUMN if nested else ONE_PER_LINE)
    if isinstance(document, _Repeated) or (is_squad(records) and has_repeated(records)):
        raise DataError.at(path, REPEATED)
    if not is_squad(records):
        return records
    try:
        return list(flatten({"data": records}))
    except ValueError as error:
        raise DataError.at(path, english("not SQuAD's layout: {error}", error=error)) from None


def is_squad(records: list[Any]) -> bool:
    """Whether the records of a JSON document are articles rather than rows."""
    return any(isinstance(record, dict) and "paragraphs" in record for record in records)


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


class _Repeated(dict[str, Any]):
    """The ``pairs`` of an object that has a key twice, of which only the last value is left."""

    pairs: list[tuple[str, Any]]


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; :func:`has_repeated` finds those that have a key twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    repeated.pairs = pairs
    return repeated


def has_repeated(value: object) -> bool:
    """Whether an object anywhere in a value that :func:`json_object` read has a key twice."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _Repeated):
            return True
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return False


def is_unicode(value: object) -> bool:
    """Whether no string of a value holds half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
