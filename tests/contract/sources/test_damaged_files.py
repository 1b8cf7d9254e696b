"""Files with one damage each: the named rule finds it, and no healthy row is lost."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from configs.contract import Privacy, Rules
from configs.errors import DataError
from configs.schema import Pipeline
from tasks.contract.sources.splits import SPLITS
from tasks.validation import ValidationResult
from tests.support import healthy
from tests.support.tables import Row, pipeline, quarantined, run, write_table

AT = 5
"""Healthy rows before the damaged ones."""
FIRST = AT + 1
EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Sheet:
    """A healthy table, and the settings that it is read with."""

    rows: Sequence[Row]
    data: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)

    def split(self, name: str) -> list[Row]:
        """The rows of a split: six, two and two of ten."""
        bounds = [len(self.rows) * tenths // 10 for tenths in (0, 6, 8, 10)]
        place = SPLITS.index(name)
        return list(self.rows[bounds[place] : bounds[place + 1]])


CUSTOMERS = [{**row, "customer": f"c{n}"} for n, row in enumerate(healthy.topics())]
SHEETS = {
    "topics": Sheet(healthy.topics()),
    "declared": Sheet(healthy.topics(), {"labels": ["cooking", "sport"]}),
    "customers": Sheet(CUSTOMERS, {"group_column": "customer"}),
    "stars": Sheet(
        healthy.reviews(),
        {"labelling": "ordinal", "labels": ["1", "2", "3"]},
        {"application": "sentiment"},
    ),
    "scale": Sheet(healthy.reviews(), {"labelling": "ordinal"}, {"application": "sentiment"}),
    "tags": Sheet(
        healthy.tagged(),
        {
            "labelling": "multiple",
            "labels": ["advice", "cooking", "news", "opinion", "sport"],
        },
    ),
    "questions": Sheet(healthy.questions(), {}, {"application": "questions"}),
    "translation": Sheet(
        healthy.translations(),
        {},
        {"application": "translation", "language": {"source": "en", "target": "zh"}},
    ),
    "summarization": Sheet(healthy.summaries(), {}, {"application": "summarization"}),
}


@dataclass(frozen=True)
class Case:
    """One damage.

    Attributes:
        name: what is wrong.
        rule: what finds it; empty if it is mended without one.
        rows: damaged rows, which stand after the fifth healthy row.
        sheet: the healthy rows around them.
        kind: the format of all files.
        line: a line of the file instead of ``rows``.
        split: the file that is damaged.
        rules: severities that are not the default ones.
        contract: other settings of the contract.
        sections: other sections of the pipeline.
        also: rows that other rules find too, since one damage implies the other.
        found: rows that the rule finds; all of ``rows`` if None.
        leaving: which of ``rows`` are set aside; all if None.
        stored: the rows that stay, where they do not stay as they are.
    """

    name: str
    rule: str
    rows: Sequence[Row] = ()
    sheet: str = "topics"
    kind: str = "jsonl"
    line: str = ""
    split: str = "train"
    rules: Mapping[str, str] = field(default_factory=dict)
    contract: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, int] = field(default_factory=dict)
    found: int | None = None
    leaving: Sequence[int] | None = None
    stored: Sequence[Row] | None = None

    @property
    def expected(self) -> dict[str, int]:
        """Rows found by rule."""
        count = len(self.rows or [self.line]) if self.found is None else self.found
        return ({self.rule: count} if self.rule else {}) | dict(self.also)

    @property
    def set_aside(self) -> list[int]:
        """Numbers of the rows that leave."""
        offsets = range(len(self.rows or [self.line])) if self.leaving is None else self.leaving
        return [FIRST + offset for offset in offsets]

    @property
    def staying(self) -> list[Row]:
        """The damaged rows that stay."""
        if self.stored is not None:
            return list(self.stored)
        return [row for n, row in enumerate(self.rows, FIRST) if n not in self.set_aside]


def sport(text: object) -> Row:
    return {"text": text, "label": "sport"}


def pair(source: str, target: str) -> Row:
    return {"source": source, "target": target}


def asked(context: str, question: str, answer: str, start: int | None = None) -> Row:
    place = context.index(answer) if start is None else start
    answers = {"text": [answer], "answer_start": [place]}
    return {"context": context, "question": question, "answers": answers}


def report(document: str, summary: str) -> Row:
    return {"document": document, "summary": summary}


TOPICS = SHEETS["topics"]
ASKED = SHEETS["questions"]
PAIRS = SHEETS["translation"]
REPORTS = SHEETS["summarization"]
DUCK = "The curling team from Perth swept its way into the semi-final."
NESTS = "Storks nest on the chimney of the old dairy near Lund."
STAYS: Sequence[int] = ()
HOUSE = "The archive keeps its maps in a house beside the harbour, and it opens at ten."

CASES = [
    Case("text is null", "missing", [sport(None)]),
    Case("text is null in Parquet", "missing", [sport(None)], kind="parquet"),
    Case("text is null in zipped JSON", "missing", [sport(None)], kind="json.gz"),
    Case("text is no number", "missing", [sport(float("nan"))], kind="json"),
    Case("text has no key", "missing", [{"label": "sport"}], kind="jsonl.gz"),
    Case("text is empty", "missing", [sport("")], kind="csv"),
    Case("text is blank", "missing", [sport(" \u3000 ")], kind="tsv"),
    Case("text has zero width", "missing", [sport("\u200b\u200d\ufeff")], kind="parquet"),
    Case("text is an empty Braille cell", "missing", [sport("\u2800")], kind="csv.gz"),
    Case("label is null", "missing", [{"text": DUCK, "label": None}], kind="parquet.gz"),
    Case("label is blank", "missing", [{"text": DUCK, "label": "  "}], kind="csv"),
    Case("labels are null", "missing", [{"text": DUCK, "labels": None}], "tags"),
    Case("stars are missing", "missing", [{"text": DUCK, "label": ""}], "stars", "tsv"),
    Case(
        "answers are null",
        "missing",
        [{"context": HOUSE, "question": "Where?", "answers": None}],
        "questions",
    ),
    Case("translation is empty", "missing", [pair("It has begun to rain.", "")], "translation"),
    Case("summary is blank", "missing", [report(HOUSE, "\t")], "summarization", "json"),
    Case("text is missing in validation", "missing", [sport(None)], split="validation"),
    Case("text is missing in test", "missing", [sport("")], kind="csv", split="test"),
    Case("text is a number", "wrong_type", [sport(4711)]),
    Case("text is a truth value", "wrong_type", [sport(True)], kind="json"),
    Case("text is a list", "wrong_type", [sport([DUCK])]),
    Case("text is an object", "wrong_type", [sport({"en": DUCK})], kind="json.gz"),
    Case("labels are a number", "wrong_type", [{"text": DUCK, "labels": 3}], "tags"),
    Case("a label is an object", "wrong_type", [{"text": DUCK, "labels": [{"n": 1}]}], "tags"),
    Case(
        "answers are a word",
        "wrong_type",
        [{"context": HOUSE, "question": "When?", "answers": "at ten"}],
        "questions",
    ),
    Case(
        "an answer has no offset",
        "wrong_type",
        [
            {
                "context": HOUSE,
                "question": "When?",
                "answers": {"text": ["at ten"], "answer_start": []},
            }
        ],
        "questions",
    ),
    Case(
        "an offset is text",
        "wrong_type",
        [
            {
                "context": HOUSE,
                "question": "When?",
                "answers": [{"text": "at ten", "answer_start": "72"}],
            }
        ],
        "questions",
        "json",
    ),
    Case(
        "target is a number", "wrong_type", [{"source": "Nineteen.", "target": 19}], "translation"
    ),
    Case(
        "label is misspelt", "unknown_label", [{"text": DUCK, "label": "sprot"}], "declared", "csv"
    ),
    Case("label is in capitals", "unknown_label", [{"text": DUCK, "label": "SPORT"}], "declared"),
    Case("label is a number", "unknown_label", [{"text": DUCK, "label": 7}], "declared"),
    Case(
        "one of the labels is unknown",
        "unknown_label",
        [{"text": DUCK, "labels": "sport|gossip"}],
        "tags",
        "csv",
    ),
    Case("a star too many", "unknown_label", [{"text": DUCK, "label": "4"}], "stars", "csv"),
    Case("half a star", "unknown_label", [{"text": DUCK, "label": 2.5}], "stars", "jsonl.gz"),
    Case("label is an address", "private_label", [{"text": DUCK, "label": "jo@example.com"}]),
    Case(
        "one of the labels is an address",
        "private_label",
        [{"text": DUCK, "labels": ["sport", "jo@example.com"]}],
        "tags",
        also={"unknown_label": 1},
    ),
    Case(
        "label is rare",
        "rare_label",
        [{"text": DUCK, "label": "chess"}, {"text": NESTS, "label": "chess"}],
        rules={"rare_label": "quarantine"},
        contract={"min_rows_per_class": 3},
    ),
    Case(
        "label is rare and only counted",
        "rare_label",
        [{"text": DUCK, "label": "chess"}, {"text": NESTS, "label": "chess"}],
        rules={"rare_label": "warn"},
        contract={"min_rows_per_class": 3},
        leaving=STAYS,
    ),
    Case(
        "label is rare in every row of it outside of training",
        "rare_label",
        [{"text": DUCK, "label": "chess"}],
        split="test",
        rules={"rare_label": "quarantine"},
        contract={"min_rows_per_class": 3},
    ),
    Case(
        "text is too long",
        "length",
        [sport(" ".join(healthy.SPORT[n] + healthy.COOKING[n] for n in (2, 9, 4)))],
        contract={"min_characters": 5, "max_characters": 150},
        kind="csv",
    ),
    Case(
        "text is too short",
        "length",
        [sport("Goal!")],
        contract={"min_characters": 10, "max_characters": 150},
    ),
    Case(
        "summary is too short",
        "length",
        [report(HOUSE, "Maps")],
        "summarization",
        contract={"min_characters": 10, "max_characters": 500},
    ),
    Case(
        "accents are mojibake",
        "mojibake",
        [sport("The cafÃ© beside the stadium serves the visiting dÃ©fenseurs first.")],
        kind="csv",
    ),
    Case(
        "apostrophes are mojibake",
        "mojibake",
        [sport("The captain doesnâ€™t want to play, and it isnâ€™t the weather.")],
        kind="parquet",
    ),
    Case(
        "source is mojibake",
        "mojibake",
        [pair("We drank tea in a cafÃ© near the ZÃ¼rich station.", "我们在苏黎世车站附近喝了茶。")],
        "translation",
    ),
    Case(
        "a character was lost",
        "replacement",
        [sport("The caf\ufffd beside the stadium closes on Sunday.")],
        leaving=STAYS,
    ),
    Case(
        "a bell rings in the text",
        "control",
        [sport("The final\x07 gong ended the bout in Hamburg.")],
        leaving=STAYS,
        kind="csv",
    ),
    Case(
        "an escape sequence",
        "control",
        [sport("\x1bThe fencers of Budapest won both duels.")],
        leaving=STAYS,
        kind="jsonl.gz",
    ),
    Case(
        "a null character",
        "control",
        [sport("The relay baton fell\x00 in the third lap.")],
        leaving=STAYS,
        kind="parquet",
    ),
    Case(
        "tags of HTML",
        "html",
        [sport("The <b>archers</b> from Seoul hit the centre again.<br/>")],
        leaving=STAYS,
        kind="tsv",
    ),
    Case(
        "entities of HTML",
        "html",
        [sport("Bat &amp; ball were forgotten in the bus to Leeds.")],
        leaving=STAYS,
    ),
    Case(
        "an entity without its ampersand",
        "html",
        [sport("The rugby side hasn #39;t lost at home since spring.")],
        leaving=STAYS,
        kind="json",
    ),
    Case(
        "context with tags",
        "html",
        [asked(f"<p>{HOUSE}</p>", "Where are the maps?", "in a house")],
        "questions",
        leaving=STAYS,
    ),
    Case(
        "text is German",
        "wrong_language",
        [sport("Der Torwart hat sich gestern beim Training das Handgelenk gebrochen.")],
        leaving=STAYS,
        kind="csv",
    ),
    Case(
        "text is Russian",
        "wrong_language",
        [sport("Вчера наша команда проиграла важный матч на своём поле.")],
        rules={"wrong_language": "quarantine"},
    ),
    Case(
        "translation is Japanese",
        "wrong_language",
        [
            pair(
                "The ducks were late for breakfast.", "朝食に間に合わなかったのはアヒルたちでした。"
            )
        ],
        "translation",
        leaving=STAYS,
    ),
    Case(
        "question is French",
        "wrong_language",
        [asked(HOUSE, "À quelle heure ouvre le bâtiment des archives ?", "at ten")],
        "questions",
        leaving=STAYS,
    ),
    Case("row is there twice", "duplicates", [TOPICS.rows[2]], kind="csv"),
    Case(
        "row is there three times", "duplicates", [TOPICS.rows[2], TOPICS.rows[2]], kind="parquet"
    ),
    Case(
        "row is there twice but for its margins",
        "duplicates",
        [{**TOPICS.rows[2], "text": f"  {TOPICS.rows[2]['text']}\n"}],
        kind="json",
    ),
    Case("question is there twice", "duplicates", [ASKED.rows[1]], "questions"),
    Case("translation is there twice", "duplicates", [PAIRS.rows[4]], "translation", "tsv"),
    Case("summary is there twice", "duplicates", [REPORTS.rows[0]], "summarization", "csv"),
    Case("stars are there twice", "duplicates", [SHEETS["stars"].rows[3]], "stars", "csv.gz"),
    Case(
        "duplicates are only counted",
        "duplicates",
        [TOPICS.rows[2]],
        rules={"duplicates": "warn"},
        leaving=STAYS,
    ),
    Case("test row in training", "leakage", [TOPICS.split("test")[3]], kind="csv"),
    Case("validation row in training", "leakage", [TOPICS.split("validation")[0]]),
    Case(
        "test row in validation",
        "leakage",
        [TOPICS.split("test")[1]],
        split="validation",
        kind="parquet",
    ),
    Case(
        "test text with another label",
        "leakage",
        [{**TOPICS.split("test")[0], "label": "cooking"}],
        kind="tsv",
    ),
    Case(
        "test source with another translation",
        "leakage",
        [{**PAIRS.split("test")[0], "target": "大桥是罗马人在古代修建的。"}],
        "translation",
    ),
    Case("test question in training", "leakage", [ASKED.split("test")[0]], "questions"),
    Case("test document in training", "leakage", [REPORTS.split("test")[0]], "summarization"),
    Case(
        "leakage is only counted",
        "leakage",
        [TOPICS.split("test")[3]],
        rules={"leakage": "warn"},
        leaving=STAYS,
    ),
    Case(
        "test customer in training",
        "group_leakage",
        [{"text": DUCK, "label": "sport", "customer": "c47"}],
        "customers",
    ),
    Case(
        "test customer in validation",
        "group_leakage",
        [{"text": DUCK, "label": "sport", "customer": "c40"}],
        "customers",
        "csv",
        split="validation",
    ),
    Case(
        "nearly the same text",
        "near_duplicates",
        [sport(DUCK), sport(DUCK.replace("The", "the").replace(".", "!!"))],
        found=1,
        leaving=STAYS,
    ),
    Case(
        "nearly the same text in test",
        "near_leakage",
        [{**TOPICS.split("test")[3], "text": TOPICS.split("test")[3]["text"].upper() + "!"}],
        leaving=STAYS,
        kind="csv",
    ),
    Case(
        "nearly the same text in test is set aside",
        "near_leakage",
        [{**TOPICS.split("test")[3], "text": TOPICS.split("test")[3]["text"].upper() + "!"}],
        rules={"near_leakage": "quarantine"},
        kind="parquet",
    ),
    Case(
        "nearly the same source in test",
        "near_leakage",
        [pair(PAIRS.split("test")[1]["source"] + "..", "在湖里游泳的话，天气还是太冷。")],
        "translation",
        leaving=STAYS,
    ),
    Case(
        "one text with two labels",
        "label_conflict",
        [sport(DUCK), {"text": DUCK, "label": "cooking"}],
        rules={"duplicates": "warn"},
        also={"duplicates": 1},
        leaving=STAYS,
    ),
    Case(
        "one text with two labels is set aside",
        "label_conflict",
        [sport(DUCK), {"text": DUCK, "label": "cooking"}],
        rules={"label_conflict": "quarantine"},
        kind="csv",
    ),
    Case(
        "one question with two answers",
        "label_conflict",
        [asked(HOUSE, "Where?", "in a house"), asked(HOUSE, "Where?", "beside the harbour")],
        "questions",
        rules={"label_conflict": "quarantine"},
    ),
    Case(
        "offset is one too small",
        "answer_offset",
        [asked(HOUSE, "When does it open?", "at ten", HOUSE.index("at ten") - 1)],
        "questions",
    ),
    Case(
        "offset is one too large",
        "answer_offset",
        [asked(HOUSE, "When does it open?", "at ten", HOUSE.index("at ten") + 1)],
        "questions",
        "csv",
    ),
    Case(
        "offset counts bytes",
        "answer_offset",
        [asked("Émile’s café opens at ten — daily.", "When?", "at ten", 26)],
        "questions",
        "json",
    ),
    Case(
        "offset is negative",
        "answer_offset",
        [asked(HOUSE, "What is kept?", "ten.", -4)],
        "questions",
        "parquet",
    ),
    Case(
        "answer is not in the context",
        "answer_offset",
        [asked(HOUSE, "Who keeps it?", "a curator", 4)],
        "questions",
    ),
    Case("answer is empty", "answer_offset", [asked(HOUSE, "Who?", "", 0)], "questions"),
    Case(
        "second answer is elsewhere",
        "answer_offset",
        [
            {
                "context": HOUSE,
                "question": "Where are the maps?",
                "answers": {"text": ["in a house", "harbour"], "answer_start": [27, 0]},
            }
        ],
        "questions",
    ),
    Case(
        "offset beside an address is one too small",
        "answer_offset",
        [
            asked(
                "Write to keeper@example.com. The maps lie in a house beside the harbour.",
                "Where do the maps lie?",
                "in a house",
                41,
            )
        ],
        "questions",
        also={"privacy.email": 1},
    ),
    Case(
        "question has no answer",
        "answer_missing",
        [
            {
                "context": HOUSE,
                "question": "Who drew the maps?",
                "answers": {"text": [], "answer_start": []},
            }
        ],
        "questions",
    ),
    Case(
        "question may have no answer",
        "",
        [
            {
                "context": HOUSE,
                "question": "Who drew the maps?",
                "answers": {"text": [], "answer_start": []},
            }
        ],
        "questions",
        sections={"answering": {"unanswerable": True}},
        leaving=STAYS,
    ),
    Case(
        "source is not translated",
        "copied_source",
        [pair("The orchard belongs to the monastery.", "The orchard belongs to the monastery.")],
        "translation",
        "csv",
        also={"wrong_script": 1},
    ),
    Case(
        "translation is only a beginning",
        "length_ratio",
        [
            pair(
                "The orchard belongs to the monastery, and the monks sell its pears in autumn.",
                "果园",
            )
        ],
        "translation",
    ),
    Case(
        "source is only a beginning",
        "length_ratio",
        [pair("Ah", "这个果园属于修道院，秋天的时候修士们会在市场上卖他们的梨。")],
        "translation",
        "tsv",
    ),
    Case(
        "translation is transcribed",
        "wrong_script",
        [pair("The orchard belongs to the monastery.", "Guǒyuán shǔyú xiūdàoyuàn.")],
        "translation",
    ),
    Case(
        "source is Chinese",
        "wrong_script",
        [pair("果园属于修道院。", "这个果园是修道院的。")],
        "translation",
        "json",
    ),
    Case(
        "year is another",
        "numbers",
        [pair("The orchard was planted in 1998 with 250 trees.", "果园于1989年种了250棵树。")],
        "translation",
        leaving=STAYS,
    ),
    Case(
        "summary is longer than its document",
        "longer_than_document",
        [
            report(
                "The archive opens at ten.",
                "The archive, a fine old building beside the harbour, opens every day at ten.",
            )
        ],
        "summarization",
    ),
    Case(
        "summary is its document",
        "longer_than_document",
        [report(HOUSE, HOUSE)],
        "summarization",
        "jsonl.gz",
    ),
    Case(
        "summary is quoted",
        "copied_verbatim",
        [report(HOUSE, "a house beside the harbour")],
        "summarization",
        "csv",
        leaving=STAYS,
    ),
    Case(
        "summary belongs to another document",
        "no_overlap",
        [report(HOUSE, "Storks nesting near dairy")],
        "summarization",
    ),
    Case(
        "a field too many",
        "unreadable",
        kind="csv",
        line="The curling team, sadly, lost.,sport,again",
    ),
    Case("a field too few", "unreadable", kind="tsv", line=DUCK),
    Case("a field too few in a zipped file", "unreadable", kind="csv.gz", line=DUCK),
    Case("half a line of JSON", "unreadable", line='{"text": "The curling te'),
    Case("a line with a list", "unreadable", line=json.dumps([DUCK, "sport"])),
    Case("half a surrogate pair", "unreadable", line='{"text": "\\ud83d", "label": "sport"}'),
    Case(
        "half a line of JSON in validation",
        "unreadable",
        kind="jsonl.gz",
        split="validation",
        line="}",
    ),
    Case(
        "mojibake is repaired",
        "",
        [sport("The cafÃ© beside the stadium serves the visiting dÃ©fenseurs first.")],
        contract={"repair": True},
        leaving=STAYS,
        stored=[sport("The café beside the stadium serves the visiting défenseurs first.")],
        kind="csv",
    ),
    Case(
        "control characters are removed",
        "",
        [sport("The final\x07 gong ended the bout in Ham\x00burg.")],
        contract={"repair": True},
        leaving=STAYS,
        stored=[sport("The final gong ended the bout in Hamburg.")],
    ),
    Case(
        "entities are unescaped",
        "",
        [sport("Bat &amp; ball were forgotten, and it wasn #39;t the driver.")],
        contract={"repair": True},
        leaving=STAYS,
        stored=[sport("Bat & ball were forgotten, and it wasn't the driver.")],
    ),
    Case(
        "tags cannot be repaired",
        "html",
        [sport("The <b>archers</b> from Seoul hit the centre again.")],
        contract={"repair": True},
        leaving=STAYS,
    ),
    Case(
        "a lost character cannot be repaired",
        "replacement",
        [sport("The caf\ufffd beside the stadium closes on Sunday.")],
        contract={"repair": True},
        leaving=STAYS,
        kind="tsv",
    ),
    Case(
        "an answer moves with its repaired context",
        "",
        [asked("At the cafÃ© in Rouen they\x07 bake at night.", "When do they bake?", "at night")],
        "questions",
        contract={"repair": True},
        leaving=STAYS,
        stored=[
            asked("At the café in Rouen they bake at night.", "When do they bake?", "at night")
        ],
    ),
    Case(
        "a repaired context does not hide a wrong offset",
        "answer_offset",
        [asked("At the cafÃ© in Rouen they bake at night.", "When do they bake?", "at night", 30)],
        "questions",
        contract={"repair": True},
    ),
    Case(
        "a repaired row is a duplicate",
        "duplicates",
        [
            sport("The café in Turin shows every match."),
            sport("The cafÃ© in Turin shows every match."),
        ],
        contract={"repair": True},
        found=1,
        leaving=[1],
    ),
    Case(
        "a row with two damages",
        "mojibake",
        [sport("<i>The cafÃ© beside the stadium closes on Sunday.</i>")],
        also={"html": 1},
        kind="json",
    ),
]
BY_NAME = {case.name: case for case in CASES}


def in_format(rows: Sequence[Row], kind: str) -> Sequence[Row]:
    """Rows as a format has them: in CSV and TSV, answers are JSON."""
    if not kind.startswith(("csv", "tsv")):
        return rows
    return [
        {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def write(folder: Path, case: Case) -> Path:
    """The three files of a case; returns the damaged one."""
    sheet = SHEETS[case.sheet]
    for split in SPLITS:
        rows = sheet.split(split)
        if split == case.split:
            rows[AT:AT] = case.rows
            damaged = folder / f"{split}.{case.kind}"
        write_table(folder / f"{split}.{case.kind}", in_format(rows, case.kind))
    if case.line:
        _insert(damaged, case)
    return damaged


def _insert(path: Path, case: Case) -> None:
    zipped = path.name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
    lines = content.splitlines(keepends=True)
    header = not case.kind.startswith("jsonl")
    lines.insert(AT + header, case.line.encode() + b"\n")
    changed = b"".join(lines)
    path.write_bytes(gzip.compress(changed) if zipped else changed)


def settings(folder: Path, case: Case, rules: Mapping[str, str] = EMPTY) -> Pipeline:
    sheet = SHEETS[case.sheet]
    files = {split: f"{split}.{case.kind}" for split in SPLITS}
    contract = {"rules": {**case.rules, **rules}} | dict(case.contract)
    sections = {**sheet.sections, **case.sections}
    return pipeline(folder, {**files, **sheet.data}, contract, **sections)


def check(folder: Path, case: Case, rules: Mapping[str, str] = EMPTY) -> ValidationResult:
    write(folder, case)
    return run(settings(folder, case, rules))


def found(validated: ValidationResult) -> dict[str, int]:
    """Rows that break each rule, for those that any row breaks; to be repaired is no damage."""
    rules = (rule for rule in validated.report["rules"] if rule["name"] != "repaired")
    return {rule["name"]: rule["found"] for rule in rules if rule["found"]}


def kept(validated: ValidationResult, split: str) -> Counter[str]:
    """The stored rows of a split, without their places."""
    with pa.OSFile(str(validated.stored.path / f"{split}.arrow")) as source:
        rows = pa.ipc.open_stream(source).read_all().to_pylist()
    places = ("file", "row")
    return Counter(
        repr(sorted((name, value) for name, value in row.items() if name not in places))
        for row in rows
    )


def as_stored(rows: Sequence[Row], validated: ValidationResult) -> Counter[str]:
    """Rows in the form that the stage stores them in."""
    return Counter(repr(sorted(_as_stored(row, validated.facts).items())) for row in rows)


def _as_stored(row: Row, facts: Any) -> Row:
    stored = {name: value for name, value in row.items() if name != "customer"}
    if "label" in row:
        stored["label"] = facts.labels.index(row["label"])
    if "labels" in row:
        held = row["labels"].split("|")
        stored["labels"] = [int(label in held) for label in facts.labels]
    if answers := stored.pop("answers", None):
        stored["answer_texts"] = answers["text"]
        stored["answer_starts"] = answers["answer_start"]
    return stored


def records(validated: ValidationResult) -> list[Row]:
    return quarantined(validated.stored.path / "quarantine.jsonl")


def raw(case: Case, row: Row) -> Row:
    """A damaged row as the quarantine has it: under the application's names."""
    names = SHEETS[case.sheet].rows[0]
    shown = {name: row.get(name) for name in names}
    if "customer" in shown:
        shown["group"] = shown.pop("customer")
    return shown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rule_finds_the_damage_and_no_healthy_row_is_lost(tmp_path: Path, case: Case) -> None:
    validated = check(tmp_path, case)
    assert found(validated) == case.expected
    for split in SPLITS:
        expected = SHEETS[case.sheet].split(split) + (case.staying if split == case.split else [])
        assert kept(validated, split) == as_stored(expected, validated)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_quarantine_has_the_damaged_rows_as_they_were(tmp_path: Path, case: Case) -> None:
    damaged = write(tmp_path, case)
    validated = run(settings(tmp_path, case))
    aside = records(validated)
    assert [entry["row"] for entry in aside] == case.set_aside
    assert validated.quarantined == len(aside)
    for entry in aside:
        assert (entry["split"], entry["file"]) == (case.split, str(damaged))
        assert case.rule in entry["rules"]
        assert set(entry["rules"]) <= {case.rule, *case.also}
        if case.rows and case.kind.startswith("json") and case.name != "text is no number":
            assert entry["raw"] == raw(case, case.rows[entry["row"] - FIRST])
    assert aside == quarantined(tmp_path / "mlruns" / "quarantine" / "parcels.jsonl")


SEVERITIES = {name: rule.annotation for name, rule in Rules.model_fields.items()}
ONE_EACH = {case.rule: case for case in reversed(CASES) if case.rule in SEVERITIES}
REFUSABLE = [name for name in SEVERITIES if name != "rare_label"]


def test_every_rule_has_a_case() -> None:
    assert ONE_EACH.keys() == SEVERITIES.keys()


@pytest.mark.parametrize("rule", REFUSABLE)
def test_a_rule_that_refuses_names_the_first_row_and_shows_no_text(
    tmp_path: Path, rule: str
) -> None:
    case = ONE_EACH[rule]
    with pytest.raises(DataError) as caught:
        check(tmp_path, case, {rule: "refuse"})
    message = str(caught.value)
    damaged = tmp_path / f"{case.split}.{case.kind}"
    assert f"the rule `{rule}`, and contract.rules.{rule} is `refuse`" in message
    assert re.search(rf"^{re.escape(str(damaged))} row \d+: ", message, re.MULTILINE)
    numbers = {int(n) for n in re.findall(r"row (\d+): ", message)}
    assert numbers <= {FIRST + offset for offset in range(len(case.rows))}
    for row in case.rows:
        assert not [v for v in row.values() if isinstance(v, str) and len(v) > 8 and v in message]
    record = json.loads((tmp_path / "mlruns" / "reports" / "parcels.json").read_bytes())
    assert record["verdict"] == "refused"


def may_warn(rule: str) -> bool:
    return "warn" in str(SEVERITIES[rule])


@pytest.mark.parametrize("rule", [name for name in SEVERITIES if may_warn(name)])
def test_a_rule_that_warns_keeps_every_row(tmp_path: Path, rule: str) -> None:
    case = ONE_EACH[rule]
    others = {name: "warn" for name in case.also if name in SEVERITIES}
    validated = check(tmp_path, case, {rule: "warn"} | others)
    assert records(validated) == []
    assert found(validated)[rule] == case.expected[rule]
    expected = SHEETS[case.sheet].split(case.split) + list(case.rows)
    assert kept(validated, case.split) == as_stored(expected, validated)


@pytest.mark.parametrize("rule", [name for name in SEVERITIES if may_warn(name)])
def test_a_rule_that_quarantines_sets_damaged_rows_aside_only(tmp_path: Path, rule: str) -> None:
    case = ONE_EACH[rule]
    validated = check(tmp_path, case, {rule: "quarantine"})
    aside = [entry["row"] for entry in records(validated)]
    assert len(aside) >= case.expected[rule]
    assert set(aside) <= {FIRST + offset for offset in range(len(case.rows))}
    for split in SPLITS:
        rest = as_stored(SHEETS[case.sheet].split(split), validated)
        assert rest <= kept(validated, split)


def test_a_rare_label_that_is_refused_is_named(tmp_path: Path) -> None:
    case = BY_NAME["label is rare"]
    with pytest.raises(DataError, match="label 'chess': expected at least 3 training rows") as told:
        check(tmp_path, case, {"rare_label": "refuse"})
    assert str(tmp_path / "train.jsonl") in str(told.value)


# Built from parts, so that a scanner of this repository finds no token.
VALUES = {
    "email": "jane.doe@example.com",
    "phone": "+49 30 23125 017",
    "card": "4242 4242 4242 4242",
    "iban": "DE89 3704 0044 0532 0130 00",
    "national_id": "536-90-4399",
    "ip_address": "203.0.113.45",
    "secret": "gh" + "p_" + "Fake0Key1Not2Real3Example4Token5Only",
}


def test_every_kind_of_private_data_has_a_value() -> None:
    assert VALUES.keys() == Privacy.model_fields.keys() - {"countries"}


def private(kind: str, treatment: str, form: str = "jsonl") -> Case:
    text = "The umpire left {} on a note beside the scoreboard."
    return Case(
        kind,
        f"privacy.{kind}",
        [sport(text.format(VALUES[kind]))],
        kind=form,
        contract={"privacy": {kind: treatment, "countries": ["us"]}},
        leaving=STAYS,
        stored=[sport(text.format(f"[{kind.upper()}_1]"))],
    )


def below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", VALUES)
def test_private_data_is_replaced_before_anything_is_stored(
    tmp_path: Path, kind: str, form: str
) -> None:
    case = private(kind, "redact", form)
    validated = check(tmp_path, case)
    assert found(validated) == {f"privacy.{kind}": 1}
    expected = TOPICS.split("train") + case.staying
    assert kept(validated, "train") == as_stored(expected, validated)
    assert records(validated) == []
    assert validated.report["rows"]["redacted"] == 1
    held = [p for p in below(tmp_path / "mlruns") if VALUES[kind].encode() in p.read_bytes()]
    assert held == []


@pytest.mark.parametrize("kind", VALUES)
def test_private_data_that_is_refused_is_named_and_not_shown(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        check(tmp_path, private(kind, "refuse"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'train.jsonl'} row {FIRST}: 1 row breaks the rule")
    assert f"contract.privacy.{kind} is `refuse`" in message
    assert VALUES[kind] not in message
    quarantine = tmp_path / "mlruns" / "quarantine"
    assert [entry["row"] for entry in quarantined(quarantine / "parcels.jsonl")] == [FIRST]
    held = [p for p in below(tmp_path / "mlruns") if VALUES[kind].encode() in p.read_bytes()]
    assert held == [quarantine / "parcels.jsonl"]


@pytest.mark.parametrize("kind", VALUES)
def test_private_data_that_is_allowed_stays(tmp_path: Path, kind: str) -> None:
    case = private(kind, "allow")
    validated = check(tmp_path, case)
    assert found(validated) == {}
    assert f"privacy.{kind}" not in {rule["name"] for rule in validated.report["rules"]}
    expected = TOPICS.split("train") + list(case.rows)
    assert kept(validated, "train") == as_stored(expected, validated)


def test_a_redacted_answer_is_the_placeholder(tmp_path: Path) -> None:
    context = f"The keeper of the maps reads {VALUES['email']} every morning at ten."
    case = Case(
        "address",
        "privacy.email",
        [asked(context, "What does the keeper read?", VALUES["email"])],
        "questions",
        leaving=STAYS,
        stored=[
            asked(
                context.replace(VALUES["email"], "[EMAIL_1]"),
                "What does the keeper read?",
                "[EMAIL_1]",
            )
        ],
    )
    validated = check(tmp_path, case)
    assert found(validated) == {"privacy.email": 1}
    expected = ASKED.split("train") + case.staying
    assert kept(validated, "train") == as_stored(expected, validated)


def test_repaired_rows_are_counted(tmp_path: Path) -> None:
    report = check(tmp_path, BY_NAME["mojibake is repaired"]).report
    assert report["rows"]["repaired"] == 1
    (rule,) = [rule for rule in report["rules"] if rule["name"] == "repaired"]
    assert (rule["severity"], rule["found"]) == ("repair", 1)
    assert [example["row"] for example in rule["examples"]] == [FIRST]


def test_a_row_with_two_kinds_of_private_data_is_redacted_once(tmp_path: Path) -> None:
    text = f"Write to {VALUES['email']} or come to {VALUES['ip_address']} if the pool is shut."
    case = Case("both", "privacy.email", [sport(text)], leaving=STAYS)
    validated = check(tmp_path, case)
    assert found(validated) == {"privacy.email": 1, "privacy.ip_address": 1}
    assert validated.report["rows"]["redacted"] == 1


@dataclass(frozen=True)
class Refusal:
    """A file that is refused as a whole.

    Attributes:
        name: what is wrong.
        file: its name.
        content: makes its bytes of the healthy ones in the same format.
        message: what is told, with the file as ``FILE``.
        sheet: the healthy rows.
    """

    name: str
    file: str
    content: Callable[[bytes], bytes]
    message: str
    sheet: str = "topics"


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def instead(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _: content


def changed(old: bytes, new: bytes, times: int = -1) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, times)


def spoiled(content: bytes) -> bytes:
    return content[:20] + bytes([255]) * 30 + content[50:]


def recoded(encoding: str) -> Callable[[bytes], bytes]:
    return lambda content: content.decode().encode(encoding)


def unlabelled(content: bytes) -> bytes:
    lines = [json.loads(line) for line in content.splitlines()]
    return b"".join(json.dumps({"text": line["text"]}).encode() + b"\n" for line in lines)


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>Sorry</body></html>\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
ZIP = b"PK\x03\x04\x14\0\0\0\x08\0"
BINARY = "FILE: expected UTF-8 text, found binary data"
DAMAGED = "FILE: the gzip data is damaged or cut off"
NO_COLUMNS = "FILE: expected a column 'text', found"
REFUSALS = [
    Refusal("a picture", "train.csv", instead(PNG), BINARY),
    Refusal("a workbook", "train.tsv", instead(ZIP), "FILE: expected text, found a zip file"),
    Refusal("binary JSONL", "train.jsonl", instead(PNG), BINARY),
    Refusal(
        "Latin-1",
        "train.csv",
        changed(b"The striker", b"The \xe9t\xe9 striker"),
        "FILE:2: expected UTF-8, found byte 0xe9, a single one or few (correct it, or set data.enc",
    ),
    Refusal(
        "Latin-1 in JSONL",
        "train.jsonl",
        changed(b"Rain stopped", b"Rain st\xf6pped"),
        "FILE:3: expected UTF-8, found byte 0xf6",
    ),
    Refusal(
        "Latin-1 in gzip",
        "train.csv.gz",
        lambda content: gzip.compress(gzip.decompress(content).replace(b"Rain st", b"Rain \xf6t")),
        "FILE:4: expected UTF-8, found byte 0xf6",
    ),
    Refusal(
        "columns without a name",
        "train.csv",
        instead(b"text,label,,\na,b,c,d,e\n"),
        "FILE:1: columns 3, 4 of the header have no name (name them, or delete them in every line)",
    ),
    Refusal("empty CSV", "train.csv", instead(b""), "FILE: the file is empty"),
    Refusal("blank TSV", "train.tsv", instead(b"\n \n"), "FILE: the file is empty"),
    Refusal("empty JSONL", "train.jsonl", instead(b""), "FILE: the file is empty"),
    Refusal("empty gzip", "train.csv.gz", instead(gzip.compress(b"")), "FILE: the file is empty"),
    Refusal(
        "only a header",
        "train.csv",
        instead(b"text,label\n"),
        "FILE: expected rows, found only a header",
    ),
    Refusal("cut-off gzip", "train.csv.gz", cut(0.7), DAMAGED),
    Refusal("cut-off gzip of JSONL", "train.jsonl.gz", cut(0.7), DAMAGED),
    Refusal("damaged gzip", "train.csv.gz", spoiled, DAMAGED),
    Refusal("damaged gzip of JSON", "train.json.gz", spoiled, DAMAGED),
    Refusal("cut-off Parquet", "train.parquet", cut(0.7), "FILE: not a Parquet file, or cut off"),
    Refusal("empty Parquet", "train.parquet", instead(b""), "FILE: not a Parquet file"),
    Refusal("CSV as Parquet", "train.parquet", instead(b"a,b\n1,2\n"), "FILE: not a Parquet file"),
    Refusal(
        "an open quotation mark",
        "train.csv",
        changed(b"The hockey club", b'"The hockey club'),
        "FILE:20: not valid CSV: ",
    ),
    Refusal(
        "text after a closing quotation mark",
        "train.csv",
        changed(b"The striker scored", b'"The striker" scored'),
        "FILE:2: not valid CSV: ',' expected after '\"'",
    ),
    Refusal(
        "an open quotation mark in TSV",
        "train.tsv",
        changed(b"The hockey club", b'"The hockey club'),
        "FILE:20: not valid CSV: ",
    ),
    Refusal(
        "a missing column",
        "train.csv",
        changed(b"text,label", b"content,label"),
        "FILE: expected a column 'text', found 'content', 'label' (set data.columns.text",
    ),
    Refusal(
        "a column in capitals",
        "train.csv",
        changed(b"text,label", b"Text,label"),
        "FILE: expected a column 'text', found 'Text', 'label' (set data.columns.text: Text)",
    ),
    Refusal(
        "a missing key",
        "train.jsonl",
        unlabelled,
        "FILE: expected a column 'label', found 'text'",
    ),
    Refusal(
        "a missing column of answers",
        "train.json",
        changed(b'"answers"', b'"answer"'),
        "FILE: expected a column 'answers', found 'context', 'question', 'answer'",
        "questions",
    ),
    Refusal(
        "a missing group",
        "train.csv",
        changed(b"customer", b"client"),
        "FILE: expected a column 'customer', found 'text', 'label', 'client'",
        "customers",
    ),
    Refusal(
        "the header names a column twice",
        "train.csv",
        changed(b"text,label", b"text,text"),
        "FILE:1: the header names text twice",
    ),
    Refusal(
        "the header names a column twice but for spaces",
        "train.tsv",
        changed(b"text\tlabel", b"label \tlabel"),
        "FILE:1: the header names label twice",
    ),
    Refusal(
        "no header",
        "train.csv",
        changed(b"text,label\r\n", b"", 1),
        "FILE: expected a column 'text', found a name of 62 characters",
    ),
    Refusal("HTML as CSV", "train.csv", instead(PAGE), NO_COLUMNS),
    Refusal("HTML as zipped CSV", "train.csv.gz", instead(PAGE), NO_COLUMNS),
    Refusal("HTML as JSONL", "train.jsonl", instead(PAGE), "FILE: expected one JSON object a line"),
    Refusal("HTML as JSON", "train.json", instead(PAGE), "FILE:1: not valid JSON"),
    Refusal("HTML as Parquet", "train.parquet", instead(PAGE), "FILE: not a Parquet file"),
    Refusal("cut-off JSON", "train.json", cut(0.7), "FILE:1: not valid JSON: Unterminated string"),
    Refusal(
        "lines as JSON",
        "train.json",
        lambda content: content[1:-1].replace(b"}, {", b"}\n{"),
        "FILE:2: not valid JSON: Extra data (a file with one JSON object a line is JSONL; rename",
    ),
    Refusal(
        "one object as JSON",
        "train.json",
        instead(b'{"text": "x", "label": "y"}'),
        "FILE: expected a list of JSON objects",
    ),
    Refusal(
        "a JSON list as JSONL",
        "train.jsonl",
        lambda content: json.dumps([json.loads(x) for x in content.splitlines()]).encode(),
        "FILE: expected one JSON object a line, found none that can be read; row 1: expected a "
        "JSON object (a file with all rows in one list is JSON; rename it to .json)",
    ),
    Refusal(
        "JSON by column",
        "train.json",
        instead(b'{"text": ["x"], "label": ["y"]}'),
        "(write each row as an object, in pandas with to_json(orient='records'))",
    ),
    Refusal(
        "keys that are there twice",
        "train.jsonl",
        instead(b'{"text": "x", "label": "y", "label": "z"}\n'),
        "found none that can be read; row 1: a key is there twice",
    ),
    Refusal(
        "SQuAD without paragraphs",
        "train.json",
        instead(b'{"data": [{"paragraphs": 3}]}'),
        "FILE: not SQuAD's layout: data[0].paragraphs: expected a list",
        "questions",
    ),
    Refusal(
        "numbers as text",
        "train.csv",
        instead(
            b"text,label\n" + b"".join(b"%d,sport\n%d.5,cooking\n" % (n, n) for n in range(20))
        ),
        "FILE: expected text in column 'text', found only numbers",
    ),
    Refusal(
        "one label",
        "train.csv",
        changed(b"cooking", b"sport"),
        "column 'label': expected at least two labels in the training rows, found only 'sport'",
    ),
    Refusal(
        "text as label",
        "train.csv",
        instead(
            b"text,label\n"
            + b"".join(b"row %d,a long text number %d of the row\n" % (n, n) for n in range(200))
        ),
        "column 'label': expected labels, found 200 distinct values in 200 rows",
    ),
    Refusal(
        "a label that training lacks",
        "train.csv",
        changed(b"cooking", b"kitchen"),
        "label 'cooking' never occurs in training",
    ),
    Refusal(
        "a declared label without rows",
        "train.csv",
        changed(b",3\r\n", b",2\r\n"),
        "FILE: label '3': expected at least 1 training rows, found 0",
        "stars",
    ),
    Refusal(
        "words as stars",
        "train.csv",
        changed(b",3\r\n", b",three\r\n"),
        "column 'label': expected numbers, or words whose order is declared, found 'three'",
        "scale",
    ),
]


def refused(folder: Path, one: Refusal) -> str:
    sheet = SHEETS[one.sheet]
    kind = one.file.partition(".")[2]
    for split in SPLITS:
        path = write_table(folder / f"{split}.{kind}", in_format(sheet.split(split), kind))
        if split == "train":
            path.write_bytes(one.content(path.read_bytes()))
    files = {split: f"{split}.{kind}" for split in SPLITS}
    with pytest.raises(DataError) as caught:
        run(pipeline(folder, {**files, **sheet.data}, **sheet.sections))
    return str(caught.value)


@pytest.mark.parametrize("one", REFUSALS, ids=lambda one: one.name)
def test_a_file_that_is_damaged_as_a_whole_is_refused(tmp_path: Path, one: Refusal) -> None:
    message = refused(tmp_path, one).replace(str(tmp_path / one.file), "FILE")
    assert one.message in message
    assert not [row for row in SHEETS[one.sheet].rows if str(row.get("text", "\0")) in message]


def test_every_damaged_file_is_told_at_once(tmp_path: Path) -> None:
    for split, content in zip(SPLITS, (PNG, PAGE, b""), strict=True):
        (tmp_path / f"{split}.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, {split: f"{split}.csv" for split in SPLITS}))
    told = str(caught.value)
    assert [str(tmp_path / f"{split}.csv") in told for split in SPLITS] == [True] * 3


@pytest.mark.parametrize("name", ["train.xls", "train.txt", "train"])
def test_a_file_of_an_unknown_format_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"text,label\nx,a\n")
    with pytest.raises(
        DataError, match="expected CSV, TSV, JSON, JSONL, Parquet or XLSX"
    ) as caught:
        run(pipeline(tmp_path, {"train": name}))
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", healthy.topics())
    with pytest.raises(
        DataError, match=r"train\.cvs: no such file \(did you mean .*train\.csv\?\)"
    ):
        run(pipeline(tmp_path, {"train": "train.cvs"}))
