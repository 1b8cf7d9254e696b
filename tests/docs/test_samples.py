"""The sample data that ships is large, balanced and free of repetition."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.docs.markdown import ROOT

SAMPLES = ROOT / "configs" / "samples"
SPLITS = ("train", "validation", "test")
LEAST_ROWS = {"sentiment": 500, "topics": 400}
LEAST_LABELS = {"sentiment": 2, "topics": 5}
LEAST_RECORDS = {"questions": 250, "translation": 400, "summaries": 80, "entities": 400}
LEAST_ENTITIES = {"train": 70, "validation": 12, "test": 15}
"""Of each type."""
LEAST_PASSAGES = 60
LEAST_UNANSWERABLE = 40
DOCUMENT_WORDS = range(150, 401)
SUMMARY_SENTENCES = range(1, 4)
SENTENCE_END = re.compile(r"[.!?]['\"\u2019\u201d]?(?=\s|$)")
HAN = re.compile("[\u4e00-\u9fff]")
MOST_ALIKE = 0.5
WORDS = 3
LEAST_SHARE = 0.75
"""The rarest label against an even share of the rows."""


@dataclass(frozen=True)
class Row:
    """One labelled text and its place."""

    split: str
    number: int
    text: str
    label: str

    def __str__(self) -> str:
        return f"{self.split} row {self.number}"


@cache
def records(name: str, split: str) -> tuple[dict[str, Any], ...]:
    """Every record of a split of a sample."""
    table, lines = (SAMPLES / f"{name}.{split}.{kind}" for kind in ("csv", "jsonl"))
    if table.exists():
        with table.open(encoding="utf-8", newline="") as stream:
            return tuple(csv.DictReader(stream))
    return tuple(json.loads(line) for line in lines.read_bytes().splitlines())


@cache
def rows(name: str) -> tuple[Row, ...]:
    """Every row of a sample of labelled texts."""
    return tuple(
        Row(split, number, record["text"], record["label"])
        for split in SPLITS
        for number, record in enumerate(records(name, split), 1)
    )


def values(name: str, column: str) -> list[Any]:
    """A column of a sample, over all splits."""
    return [record[column] for split in SPLITS for record in records(name, split)]


def labels(name: str, split: str | None = None) -> Counter[str]:
    """How often each label occurs."""
    return Counter(row.label for row in rows(name) if split in (None, row.split))


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The runs of three words in a text; a shorter text is one run."""
    found = words(text)
    runs = (tuple(found[at : at + WORDS]) for at in range(max(1, len(found) - WORDS + 1)))
    return frozenset(runs)


def alike(name: str) -> list[tuple[float, str, str]]:
    """Pairs of rows whose runs of words overlap too much, by Jaccard similarity."""
    named = [(row.text, str(row)) for row in rows(name)]
    return overlapping([text for text, _ in named], [place for _, place in named])


def overlapping(texts: list[str], names: list[str]) -> list[tuple[float, str, str]]:
    """Pairs of texts whose runs of words overlap too much, by name."""
    sets = [shingles(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    shared: Counter[tuple[int, int]] = Counter()
    for index, own in enumerate(sets):
        for run in own:
            shared.update((other, index) for other in holders[run])
            holders[run].append(index)
    found = []
    for (one, two), count in shared.items():
        similarity = count / (len(sets[one]) + len(sets[two]) - count)
        if similarity > MOST_ALIKE:
            found.append((similarity, names[one], names[two]))
    return found


def test_every_sample_is_tested() -> None:
    shipped = {path.name.split(".")[0] for path in SAMPLES.iterdir()}
    assert shipped == {*LEAST_ROWS, *LEAST_RECORDS}


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_there_are_enough_rows_in_every_split(name: str) -> None:
    counts = Counter(row.split for row in rows(name))
    assert sum(counts.values()) >= LEAST_ROWS[name]
    assert counts["train"] > counts["test"] > 0
    assert counts["train"] > counts["validation"] > 0


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_every_row_has_a_text_and_a_label(name: str) -> None:
    assert [str(row) for row in rows(name) if not words(row.text) or not row.label.strip()] == []
    assert [str(row) for row in rows(name) if row.text != row.text.strip()] == []


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_every_split_has_every_label(name: str) -> None:
    known = set(labels(name))
    assert len(known) >= LEAST_LABELS[name]
    assert all(re.fullmatch(r"[a-z]+", label) for label in known)
    for split in SPLITS:
        assert set(labels(name, split)) == known


def test_sentiment_has_the_usual_labels() -> None:
    assert set(labels("sentiment")) == {"negative", "positive"}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", LEAST_ROWS)
def test_labels_are_balanced(name: str, split: str) -> None:
    counts = labels(name, split)
    even = sum(counts.values()) / len(counts)
    assert min(counts.values()) >= LEAST_SHARE * even, counts


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_no_text_occurs_twice_in_any_split(name: str) -> None:
    counts = Counter(" ".join(words(row.text)) for row in rows(name))
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_no_two_texts_are_nearly_the_same(name: str) -> None:
    assert sorted(alike(name), reverse=True) == []


@pytest.mark.parametrize("name", LEAST_RECORDS)
def test_there_are_enough_records_in_every_split(name: str) -> None:
    counts = {split: len(records(name, split)) for split in SPLITS}
    assert sum(counts.values()) >= LEAST_RECORDS[name]
    assert counts["train"] > counts["test"] > 0
    assert counts["train"] > counts["validation"] > 0


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("questions", "question"),
        ("translation", "source"),
        ("translation", "target"),
        ("summaries", "document"),
        ("summaries", "summary"),
        ("entities", "text"),
    ],
)
def test_every_text_is_there_once(name: str, column: str) -> None:
    texts = values(name, column)
    assert all(text and text == text.strip() for text in texts)
    assert len({text.lower() for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("questions", "question"),
        ("summaries", "document"),
        ("summaries", "summary"),
        ("entities", "text"),
    ],
)
def test_no_two_texts_of_a_column_are_nearly_the_same(name: str, column: str) -> None:
    texts = values(name, column)
    assert overlapping(texts, [f"{column} {number}" for number in range(1, len(texts) + 1)]) == []


def test_questions_are_about_many_passages_each_in_one_split() -> None:
    contexts = {split: {r["context"] for r in records("questions", split)} for split in SPLITS}
    together = set().union(*contexts.values())
    assert len(together) >= LEAST_PASSAGES
    assert sum(map(len, contexts.values())) == len(together)
    assert overlapping(sorted(together), sorted(together)) == []


def test_answers_are_where_the_samples_say() -> None:
    wrong = [
        record["id"]
        for split in SPLITS
        for record in records("questions", split)
        for text, start in zip(
            *(record["answers"][k] for k in ("text", "answer_start")), strict=True
        )
        if not text or record["context"][start : start + len(text)] != text
    ]
    assert wrong == []


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_questions_with_and_without_an_answer(split: str) -> None:
    known = Counter(bool(record["answers"]["text"]) for record in records("questions", split))
    assert known[True] > known[False] > 0


def test_enough_questions_have_no_answer() -> None:
    assert sum(not answers["text"] for answers in values("questions", "answers")) >= (
        LEAST_UNANSWERABLE
    )


def test_translations_are_from_english_to_chinese() -> None:
    assert not any(HAN.search(text) for text in values("translation", "source"))
    assert all(HAN.search(text) for text in values("translation", "target"))


def test_documents_are_articles_and_summaries_a_few_sentences() -> None:
    lengths = {len(text.split()) for text in values("summaries", "document")}
    assert lengths <= set(DOCUMENT_WORDS)
    sentences = {len(SENTENCE_END.findall(text)) for text in values("summaries", "summary")}
    assert sentences <= set(SUMMARY_SENTENCES)


def test_entities_are_parts_of_their_text_from_left_to_right() -> None:
    for split in SPLITS:
        for number, record in enumerate(records("entities", split), 1):
            text, end = record["text"], 0
            for entity in record["entities"]:
                part = text[entity["start"] : entity["end"]]
                assert part == part.strip() != "", f"{split} row {number}"
                assert end <= entity["start"] < entity["end"] <= len(text)
                end = entity["end"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_entities_of_every_type_and_texts_without_any(split: str) -> None:
    found = records("entities", split)
    counts = Counter(entity["label"] for record in found for entity in record["entities"])
    assert set(counts) == {"COMPANY", "DATE", "ORDER", "PERSON", "PLACE", "PRODUCT"}
    assert min(counts.values()) >= LEAST_ENTITIES[split]
    assert sum(not record["entities"] for record in found) >= 5
