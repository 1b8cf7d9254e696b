"""The sample data that ships is large, balanced and free of repetition."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache

import pytest

from tests.docs.markdown import ROOT

SAMPLES = ROOT / "configs" / "samples"
SPLITS = ("train", "validation", "test")
LEAST_ROWS = {"sentiment": 500, "topics": 400}
LEAST_LABELS = {"sentiment": 2, "topics": 5}
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
def rows(name: str) -> tuple[Row, ...]:
    """Every row of a sample."""
    found = []
    for split in SPLITS:
        with (SAMPLES / f"{name}.{split}.csv").open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), 1):
                found.append(Row(split, number, row["text"], row["label"]))
    return tuple(found)


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
    sets = [shingles(row.text) for row in rows(name)]
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
            found.append((similarity, str(rows(name)[one]), str(rows(name)[two])))
    return found


def test_every_sample_is_tested() -> None:
    assert {path.name.split(".")[0] for path in SAMPLES.glob("*.csv")} == set(LEAST_ROWS)


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
