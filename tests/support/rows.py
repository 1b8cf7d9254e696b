"""Labelled text of two classes that anyone can tell apart."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

Row = tuple[str, str]
SUBJECTS = (
    "the film",
    "this phone",
    "our hotel room",
    "the coffee",
    "my new bike",
    "the service at the counter",
    "that book",
    "the garden tour on sunday",
    "this jacket",
    "the morning train to the coast",
    "the repair",
    "her concert",
)
GOOD = (
    "was wonderful",
    "made me smile all day",
    "works perfectly and looks great",
    "is the best choice we have made",
    "exceeded everything that we had hoped for, and the price was fair",
)
BAD = (
    "was terrible",
    "broke after one sad day",
    "never worked and looks cheap",
    "is the worst choice we have made",
    "disappointed every one of us, and nobody answered the complaint",
)
OTHER = {"positive": "negative", "negative": "positive"}


def reviews() -> list[Row]:
    """120 different texts, half of them positive."""
    good = [(f"{subject} {verdict}", "positive") for subject in SUBJECTS for verdict in GOOD]
    bad = [(f"{subject} {verdict}", "negative") for subject in SUBJECTS for verdict in BAD]
    return [row for pair in zip(good, bad, strict=True) for row in pair]


def flipped(rows: Iterable[Row]) -> list[Row]:
    """The same texts with the opposite labels."""
    return [(text, OTHER[label]) for text, label in rows]


def words() -> list[str]:
    """Every word of the texts, in a stable order."""
    text = " ".join(text for text, _ in reviews())
    return sorted(set(text.replace(",", " ").split()))


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return path
