"""The application as stages see it: tables in, findings, stored rows and comparisons out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from configs.errors import DataError
from tasks.applications.entities.application import APPLICATION
from tasks.applications.entities.learning import EntityFacts
from tasks.validation import ValidationResult
from tests.support import tables

FACTS = EntityFacts(inputs=("text",), labels=("DATE", "PERSON"), stride=8)
NAMES = ("Ann", "Zoë", "Łukasz", "李娜", "Tariq", "Mai", "Olu", "Eoin", "Pilar", "Noor")


def message(name: str, number: int) -> dict[str, Any]:
    """A row with a person and a date."""
    text = f"{name} has asked for parcel number {number} on Friday."
    dates = text.index("Friday")
    person = {"start": 0, "end": len(name), "label": "PERSON"}
    return {"text": text, "entities": [person, {"start": dates, "end": dates + 6, "label": "DATE"}]}


ROWS = [message(NAMES[number % len(NAMES)], number) for number in range(40)]


def check(folder: Path, rows: list[Any], **sections: Any) -> ValidationResult:
    """Validate rows as a pipeline of entities."""
    return tables.check(folder, rows, application="entities", **sections)


def stored(validated: ValidationResult) -> list[dict[str, Any]]:
    """The stored rows of all splits."""
    rows = []
    for split in ("train", "validation", "test"):
        with pa.OSFile(str(validated.stored.path / f"{split}.arrow")) as source:
            rows += pa.ipc.open_stream(source).read_all().to_pylist()
    return rows


def span(start: int, end: int, label: str = "PERSON") -> dict[str, Any]:
    """An entity."""
    return {"start": start, "end": end, "label": label}


BROKEN: list[tuple[object, str]] = [
    ([span(0, 400)], "entity 1: it is outside of the text"),
    ([span(3, 3)], "entity 1: it is empty"),
    ([span(0, 2), span(2, 4)], "entity 2: it begins or ends with white space"),
    ([span(0, 6), span(5, 9)], "entities 1 and 2 overlap"),
    ([span(0, 2, "CITY")], "entity 1: its type is not declared"),
    (["B-DATE"], "1 tags for 8 tokens"),
    (["O"] * 7 + ["I-DATE"], "token 8: I does not continue an entity of its type"),
    ("{", "1 tags for 8 tokens"),
    (4, "entities: expected a list of"),
    (None, "entities: the value is missing"),
]


def test_broken_rows_are_set_aside_with_their_reason_and_without_their_text(
    tmp_path: Path,
) -> None:
    bad = [
        {"text": f"Al b asks {n} times for it now", "entities": c}
        for n, (c, _) in enumerate(BROKEN)
    ]
    validated = check(tmp_path, [*ROWS, *bad], data={"labels": ["DATE", "PERSON"]})
    found = tables.reasons(validated)
    assert list(found) == list(range(len(ROWS) + 1, len(ROWS) + len(bad) + 1))
    for reasons, (_, expected) in zip(found.values(), BROKEN, strict=True):
        assert len(reasons) == 1
        assert reasons[0].startswith(expected)
        assert "asks" not in reasons[0]


def test_entities_follow_private_data_and_mended_characters(tmp_path: Path) -> None:
    text = "Zoë &amp; dana@example.org and +49 30 901820 met KÃ¤the on Friday."
    parts = ("Zoë", "dana@example.org", "KÃ¤the", "Friday")
    spans = [span(text.index(part), text.index(part) + len(part)) for part in parts]
    row = {"text": text, "entities": spans}
    validated = check(tmp_path, [*ROWS, row], contract={"repair": True})
    (kept,) = [row for row in stored(validated) if row["text"].startswith("Zoë &")]
    found = [kept["text"][one["start"] : one["end"]] for one in kept["entities"]]
    assert found == ["Zoë", "[EMAIL_1]", "Käthe", "Friday"]


def tagged(row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """A row as tokens and tags."""
    marks = {row["text"][one["start"] : one["end"]]: one["label"] for one in row["entities"]}
    tokens = row["text"].replace(".", " .").split()
    return tokens, [f"B-{marks[token]}" if token in marks else "O" for token in tokens]


def conll(rows: list[dict[str, Any]]) -> str:
    """Rows as lines of a file."""
    pairs = (zip(*tagged(row), strict=True) for row in rows)
    return "\n\n".join("\n".join(f"{token}\tx\t{tag}" for token, tag in one) for one in pairs)


def marked(rows: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Texts with the texts of their entities, sorted."""
    found = ((row["text"], row["entities"]) for row in rows)
    return sorted((text, [text[one["start"] : one["end"]] for one in e]) for text, e in found)


def test_files_of_tokens_give_the_same_entities(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(conll(ROWS), encoding="utf-8")
    lines = tables.pipeline(tmp_path, {"train": "train.conll"}, application="entities")
    listed = [dict(zip(("tokens", "tags"), tagged(row), strict=True)) for row in ROWS]
    columns = {"columns": {"text": "tokens", "entities": "tags"}}
    expected = [(text.replace(".", " ."), parts) for text, parts in marked(ROWS)]
    assert marked(stored(tables.run(lines))) == expected
    assert marked(stored(check(tmp_path / "json", listed, data=columns))) == expected


def test_a_sentence_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(conll(ROWS) + "\n\nbroken line here\n", encoding="utf-8")
    data = {"train": "train.conll"}
    validated = tables.run(tables.pipeline(tmp_path, data, application="entities"))
    (reasons,) = tables.reasons(validated).values()
    assert reasons == ["line 1 of the sentence: expected a token and, last, a tag such as B-DATE"]


def test_types_of_the_file_may_be_renamed(tmp_path: Path) -> None:
    labels = {"PERSON": "name", "DATE": "time"}
    validated = check(tmp_path, ROWS, data={"labels": labels})
    assert validated.facts.labels == ("name", "time")
    assert {one["label"] for row in stored(validated) for one in row["entities"]} == {
        "name",
        "time",
    }


def test_a_type_that_training_lacks_is_refused(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "test.jsonl", [message("Zed", 99)])
    rows = [{"text": row["text"], "entities": row["entities"][:1]} for row in ROWS]
    with pytest.raises(DataError, match="label 'DATE' never occurs in training"):
        check(tmp_path, rows, data={"test": "test.jsonl"})


def test_rows_without_any_entity_are_refused(tmp_path: Path) -> None:
    rows = [{"text": row["text"], "entities": []} for row in ROWS]
    with pytest.raises(DataError, match="no training row has an entity"):
        check(tmp_path, rows)


def problems(folder: Path, **sections: Any) -> list[str]:
    """Settings that the application refuses."""
    config = tables.pipeline(folder, {"train": "x"}, application="entities", **sections)
    return [where for where, _ in APPLICATION.rules.check(config)]


def test_settings_that_tags_do_not_have_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path) == []
    assert problems(tmp_path, model={"prefix": "find: "}) == ["model.prefix"]
    weights = {"loss": {"class_weights": "balanced"}}
    assert problems(tmp_path, training=weights) == ["training.loss.class_weights"]
    windows = {"model": {"max_length": 64}, "tagging": {"stride": 40}}
    assert problems(tmp_path, **windows) == ["tagging.stride"]


def test_a_model_of_other_types_cannot_be_compared() -> None:
    answers = pd.DataFrame({"entities": [[]]})
    ours, theirs = FACTS, replace(FACTS, labels=("DATE", "CITY"))
    assert APPLICATION.scoring.align(answers, replace(FACTS, labels=FACTS.labels[::-1]), ours) == (
        answers,
        ours,
    )
    with pytest.raises(ValueError, match=r"other labels: it lacks PERSON and has besides CITY"):
        APPLICATION.scoring.align(answers, theirs, ours)


def test_categories_are_the_types_and_rows_without_any() -> None:
    found = [[{"label": "DATE"}, {"label": "DATE"}], [], [{"label": "PERSON"}]]
    answers = pd.DataFrame({"entities": found})
    assert APPLICATION.scoring.categories(answers) == ["DATE", "DATE", "(none)", "PERSON"]


def test_answers_survive_being_kept_in_parquet(tmp_path: Path) -> None:
    found = [[span(0, 3) | {"score": 0.5}], []]
    pd.DataFrame({"entities": found}).to_parquet(tmp_path / "answers.parquet")
    kept = APPLICATION.scoring.served(pd.read_parquet(tmp_path / "answers.parquet"))
    assert json.loads(json.dumps(kept)) == {"entities": found}
