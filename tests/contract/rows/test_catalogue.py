from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import Data
from tasks.applications import registry as applications
from tasks.contract.rows import catalogue
from tasks.contract.rows.catalogue import NO_GROUP, Catalogue, Cataloguer
from tasks.contract.sources.splits import SPLITS

Row = dict[str, Any]
TRAIN, VALIDATION, TEST = range(3)


def frame(rows: Sequence[Row], start: int = 1) -> pd.DataFrame:
    columns = {name: pd.Series([row[name] for row in rows], dtype=object) for name in rows[0]}
    return pd.DataFrame({"row": range(start, start + len(rows))} | columns)


def catalogued(
    *chunks: tuple[int, Sequence[Row]], application: str = "topics", **data: Any
) -> Catalogue:
    """Chunks of rows of one file, each with its split."""
    section = Data.model_validate({"train": "rows.jsonl", **data})
    cataloguer = Cataloguer(applications.get(application), section)
    start = 1
    for split, rows in chunks:
        cataloguer.add(frame(rows, start), split, 0)
        start += len(rows)
    return cataloguer.finish()


def topic(text: str, label: str = "a", **more: Any) -> Row:
    return {"text": text, "label": label, **more}


def pair(source: str, target: str) -> Row:
    return {"source": source, "target": target}


def alike(hashes: Any) -> list[int]:
    """For each row the first one with its hash."""
    found = hashes.tolist()
    return [found.index(one) for one in found]


def test_rows_with_the_same_text_are_the_same_row() -> None:
    rows = [topic("x"), topic("y"), topic("x", "b"), topic(" x\n"), topic("X")]
    found = catalogued((TRAIN, rows))
    assert alike(found.duplicates) == alike(found.leakage) == [0, 1, 0, 0, 4]
    assert alike(found.content) == [0, 1, 2, 0, 4]


def test_columns_are_not_joined_before_they_are_compared() -> None:
    rows = [
        topic("ab", text_pair="c"),
        topic("a", text_pair="bc"),
        topic("c", text_pair="ab"),
        topic("ab", text_pair="c"),
    ]
    assert alike(catalogued((TRAIN, rows)).duplicates) == [0, 1, 2, 0]


def test_translations_are_the_same_by_both_texts_and_leak_by_their_source() -> None:
    rows = [pair("x", "1"), pair("x", "2"), pair("y", "1"), pair("x", "1")]
    found = catalogued((TRAIN, rows), application="translation")
    assert alike(found.duplicates) == [0, 1, 2, 0]
    assert alike(found.leakage) == [0, 0, 2, 0]
    assert len(found.target) == 0


def test_groups_are_the_same_if_a_reader_sees_the_same() -> None:
    groups = [None, "none", 7, "7", " 7.0 ", 7.0, "07", True, "cafe\u0301", "caf\u00e9\ufeff"]
    rows = [topic(str(n), group=group) for n, group in enumerate(groups)]
    assert alike(catalogued((TRAIN, rows)).group) == [0, 1, 2, 2, 2, 2, 6, 7, 8, 8]


MISSING = [None, "", " ", float("nan"), "nan", "NULL", "None", " <NA>", "N/A", "\\N"]


def test_a_missing_group_is_none_however_a_program_writes_it() -> None:
    rows = [topic(str(n), group=group) for n, group in enumerate([*MISSING, 0, "NA"])]
    missing = (catalogued((TRAIN, rows)).group == NO_GROUP).tolist()
    assert missing == [True] * len(MISSING) + [False] * 2
    assert len(catalogued((TRAIN, [topic("x")])).group) == 0


def test_sets_of_labels_are_the_same_in_any_order() -> None:
    rows = [{"text": "x", "labels": labels} for labels in (["a", "b"], ["b", "a"], ["a"], [])]
    found = catalogued((TRAIN, rows), labelling="multiple")
    assert alike(found.content) == [0, 0, 2, 3]
    assert [found.values[code] for code in found.target] == [("a", "b"), ("b", "a"), ("a",), ()]


def test_questions_with_other_answers_have_the_same_input() -> None:
    answers = [{"text": ["x"], "answer_start": [0]}, {"text": [], "answer_start": []}]
    rows = [{"context": "x y", "question": "?", "answers": answer} for answer in answers]
    found = catalogued((TRAIN, rows), application="questions")
    assert alike(found.duplicates) == [0, 0]
    assert alike(found.content) == [0, 1]
    assert [found.values[code] for code in found.target] == [True, False]


def test_chunks_are_catalogued_as_one_table() -> None:
    rows = [topic(f"text {n % 7}", "abc"[n % 3]) for n in range(20)]
    whole, cut = catalogued((TRAIN, rows)), catalogued((TRAIN, rows[:6]), (TRAIN, rows[6:]))
    for name in ("split", "file", "row", "content", "duplicates", "leakage", "group", "target"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name)), name
    assert whole.values == cut.values


def test_nothing_was_added() -> None:
    found = catalogued()
    assert len(found) == 0
    census = found.census(np.ones(0, dtype=bool), ("text",), ())
    assert [census.rows(split) for split in SPLITS] == [0, 0, 0]


def test_parts_with_codes_of_their_own_are_merged() -> None:
    one = catalogued((TRAIN, [topic("x", "b"), topic("y", "a")]))
    empty = catalogued()
    other = catalogued((TRAIN, [topic("z", "a"), topic("x", "c")]))
    found = catalogue.merged([one, empty, other], [0, 2, 2])
    assert [found.values[code] for code in found.target] == ["b", "a", "a", "c"]
    assert found.row.tolist() == [1, 2, 3, 4]
    assert alike(found.leakage) == [0, 1, 2, 0]


def test_a_census_counts_what_stays() -> None:
    rows = [topic("x", "a"), topic("y", "b"), topic("z", "a"), topic("w", "c")]
    found = catalogued((TRAIN, rows), (TEST, [topic("v", "b")]))
    kept = np.array([False, True, True, False, True])
    census = found.census(kept, ("text",), ("rows.jsonl",))
    assert census.inputs == ("text",)
    assert census.counts == {"train": {"a": 1, "b": 1}, "validation": {}, "test": {"b": 1}}
    assert census.labels("train") == {"a": 1, "b": 1}
    assert census.place("train", "a") == "rows.jsonl row 3"
    assert census.place("test", "b") == "rows.jsonl row 5"


def test_a_census_of_rows_that_need_no_brief_counts_rows() -> None:
    found = catalogued(
        (TRAIN, [pair("x", "1"), pair("y", "2")]),
        (VALIDATION, [pair("z", "3")]),
        application="translation",
    )
    census = found.census(np.ones(3, dtype=bool), ("source",), ("rows.jsonl",))
    assert [census.rows(split) for split in SPLITS] == [2, 1, 0]


@pytest.mark.parametrize("first", [["c"], ["c", "a"]])
def test_a_census_names_the_first_row_with_a_label(first: list[str]) -> None:
    train = [{"text": "t", "labels": ["c", "a"]}, {"text": "u", "labels": ["c"]}]
    second = {"text": "w", "labels": ["c", "a"] if first == ["c"] else ["c"]}
    found = catalogued(
        (TRAIN, train), (TEST, [{"text": "v", "labels": first}, second]), labelling="multiple"
    )
    census = found.census(np.ones(4, dtype=bool), ("text",), ("rows.jsonl",))
    assert census.labels("test") == {"c": 2, "a": 1}
    assert census.place("test", "c") == "rows.jsonl row 3"
