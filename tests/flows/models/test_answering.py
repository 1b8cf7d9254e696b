"""Questions from a YAML file to answers in the terminal: a tiny reader that looks for a price."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import onestep, succeed
from tests.support.homes import NAME as REVIEWS
from tests.support.homes import Finished, once
from tests.support.models import tiny_bert
from tests.support.rows import SUBJECTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("answering"),
    pytest.mark.usefixtures("one_prefect"),
]

Row = dict[str, Any]
NAME = "prices"
CONFIG = """\
name: prices
application: questions
data:
  train: prices.json
  validation: 0.2
  test: 0.2
answering:
  unanswerable: true
  stride: 8
model:
  base: base
  max_length: 40
training:
  epochs: 6
  batch_size: 8
  learning_rate: 5e-3
  precision: fp32
compute:
  device: cpu
  threads: 1
  energy: false
"""
PRICED = "{} was wonderful, and the price was {}"
FREE = "{} was terrible"
QUESTION = "the price of {}"


def squad() -> Row:
    """SQuAD 2.0: the answer is the only digit, if there is one."""
    paragraphs = []
    for subject in SUBJECTS:
        for digit in "1234567890":
            context = PRICED.format(subject, digit) if digit != "0" else FREE.format(subject)
            answers = [{"text": digit, "answer_start": len(context) - 1}] if digit != "0" else []
            asked = {"question": QUESTION.format(subject), "answers": answers}
            paragraphs.append({"context": context, "qas": [asked | {"is_impossible": not answers}]})
    return {"version": "v2.0", "data": [{"title": "prices", "paragraphs": paragraphs}]}


@pytest.fixture(scope="module")
def home(shared: Path, finished: Finished) -> Path:
    """A home with a registered reader; not to be changed."""
    return once(shared / "answering", partial(_run, finished)) / "home"


def _run(finished: Finished, folder: Path) -> None:
    tiny_bert(folder / "base")
    (folder / "prices.json").write_text(json.dumps(squad(), indent=1), encoding="utf-8")
    (folder / "prices.yaml").write_text(CONFIG, encoding="utf-8")
    home = finished.empty(folder / "home")
    record = json.loads(succeed(home, "run", folder / "prices.yaml", "--json"))
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three passages, one of which names a price."""
    folder = tmp_path / "documents"
    folder.mkdir()
    text = "\n\n".join(
        [FREE.format("her concert"), PRICED.format("the coffee", 7), FREE.format("that book")]
    )
    (folder / "notes.md").write_text(text, encoding="utf-8")
    return folder


def test_the_reader_beats_the_trivial_method(home: Path) -> None:
    record = json.loads((home.parent / "record.json").read_text(encoding="utf-8"))
    assert record["metrics"]["f1"] > 90
    assert record["metrics"]["no_answer_accuracy"] > 50


def test_rows_with_a_context_are_answered_from_it(home: Path, tmp_path: Path) -> None:
    rows = [
        {"id": 1, "context": PRICED.format("this jacket", 4), "question": "the price of it"},
        {"id": 2, "context": FREE.format("this jacket"), "question": "the price of it"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    printed = succeed(home, "predict", NAME, tmp_path / "in.jsonl")
    first, second = (json.loads(line) for line in printed.splitlines())
    assert (first["id"], first["answer"], first["answered"]) == (1, "4", True)
    assert first["context"][first["start"] : first["end"]] == "4"
    assert 0 < first["score"] <= 1
    assert (second["answer"], second["answered"], second["start"]) == ("", False, -1)


def test_rows_without_a_context_are_looked_up(home: Path, documents: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "id,q,context\n"
        "1,the price of the coffee,\n"
        f'2,the price of it,"{PRICED.format("the repair", 3)}"\n'
        "3,xyzzy,\n"
        "4,that book,\n",
        encoding="utf-8",
    )
    options = ("--documents", documents, "--column", "question=q")
    printed = succeed(home, "predict", NAME, tmp_path / "in.csv", *options)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert list(rows[0]) == [
        *("id", "q", "context"),
        *("answer", "score", "start", "end", "answered", "source"),
    ]
    assert [(row["answer"], row["answered"], row["source"]) for row in rows] == [
        ("7", "True", "notes.md#2"),
        ("3", "True", ""),
        ("", "False", ""),
        ("", "False", ""),
    ]


@pytest.mark.parametrize("question", ["xyzzy", "that book"])
def test_a_question_without_an_answer_is_not_answered(
    home: Path, documents: Path, question: str
) -> None:
    options = ("--documents", documents, "--question", question)
    assert succeed(home, "predict", NAME, *options) == "I do not know.\n"
    answer = json.loads(succeed(home, "predict", NAME, *options, "--to", "jsonl"))
    assert (answer["question"], answer["answer"], answer["answered"]) == (question, "", False)


def test_a_single_question_is_answered_with_its_source(home: Path, documents: Path) -> None:
    options = ("--documents", documents, "--question", "the price of the coffee")
    printed = succeed(home, "predict", NAME, *options).splitlines()
    assert printed[0] == "7"
    assert printed[1].startswith("(notes.md#2, score 0.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["in.csv"], "in.csv: expected a column 'context', found 'question' (name yours with"),
        (["in.csv"], "--column context=YOURS, or name a folder of texts with --documents)"),
        (["other.csv", "--documents", "texts"], "expected a column 'question', found 'q'"),
        (["in.csv", "--documents", "nowhere"], "nowhere: no such folder"),
        (["in.csv", "--documents", "empty"], "found no text in .txt, .md, .jsonl files"),
        (["--question", "Why?"], "--question: expected documents to look it up in"),
        (["--question", " ", "--documents", "texts"], "--question: the question is empty"),
        (
            ["in.csv", "--question", "Why?", "--documents", "texts"],
            "expected a question or a file, found both",
        ),
    ],
)
def test_a_mistake_is_answered(
    home: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    for folder in ("texts", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("A passage.", encoding="utf-8")
    (tmp_path / "in.csv").write_text("question\nxylophone\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text("q\nxylophone\n", encoding="utf-8")
    done = onestep(home, "predict", NAME, *options, cwd=tmp_path)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.output
    assert "xylophone" not in done.output


def test_only_a_reader_looks_answers_up(finished: Finished, documents: Path) -> None:
    options = ("--documents", documents, "--question", "Why?")
    done = onestep(finished.home, "predict", REVIEWS, *options)
    assert done.code == 2
    assert "its input is text; only a model for questions looks answers up" in done.err
