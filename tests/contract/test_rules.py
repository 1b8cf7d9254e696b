from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from configs.schema import Pipeline
from tasks.applications import base as applications
from tasks.contract import rules
from tasks.contract.frames import Raw
from tasks.errors import DataError

TOPICS = applications.get("topics")
SECRET = "xylophone-7431"


def raw(*rows: tuple[str, Any, Any]) -> Raw:
    """Rows as ``(split, text, label)``, numbered by split."""
    records = []
    for split, text, label in rows:
        number = 1 + sum(record["split"] == split for record in records)
        records.append({"split": split, "file": 0, "row": number, "text": text, "label": label})
    return Raw(pd.DataFrame(records, dtype=object), ["train.csv"])


def screened(
    table: Raw, labels: Sequence[str] | None = None, **contract: str
) -> tuple[list[str], dict[int, list[str]], dict[str, int]]:
    """What stays, why the rest leaves, and the counts."""
    record = {"name": "parcels", "application": "topics", "contract": contract}
    config = Pipeline.model_validate(record | {"data": {"train": "train.csv", "labels": labels}})
    kept, reasons, counts = rules.screen(table, TOPICS, config)
    return kept["text"].to_list(), reasons, counts


def test_good_rows_stay() -> None:
    kept, reasons, counts = screened(raw(("train", "x", "a"), ("test", "y", "b")))
    assert (kept, reasons) == (["x", "y"], {})
    assert counts == {
        "form": 0,
        "duplicates": 0,
        "leakage": 0,
        "train": 1,
        "validation": 0,
        "test": 1,
    }


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        (None, "a", "text: the value is missing"),
        (float("nan"), "a", "text: the value is missing"),
        ("", "a", "text: the text is empty"),
        (" \n\t\u3000", "a", "text: the text is empty"),
        (3, "a", "text: expected text"),
        ([SECRET], "a", "text: expected text"),
        ({"x": SECRET}, "a", "text: expected text"),
        ("y", None, "label: the value is missing"),
        ("y", SECRET, "label: the label is not declared"),
    ],
)
def test_a_row_of_the_wrong_form_leaves(text: object, label: object, reason: str) -> None:
    table = raw(("train", "x", "a"), ("train", text, label), ("train", "z", "b"))
    kept, reasons, counts = screened(table, labels=["a", "b"])
    assert kept == ["x", "z"]
    assert reasons == {1: [reason]}
    assert counts["form"] == 1


def test_a_row_may_have_several_reasons() -> None:
    _, reasons, counts = screened(raw(("train", "x", "a"), ("train", None, None)))
    assert reasons == {1: ["text: the value is missing", "label: the value is missing"]}
    assert counts["form"] == 1


def test_numbers_as_text_are_refused() -> None:
    table = raw(("train", "1", "a"), ("train", "2.5e3", "b"), ("train", 10**400, "b"))
    with pytest.raises(DataError, match="expected text in column 'text', found only numbers"):
        screened(table)


def test_some_numbers_among_text_are_text() -> None:
    assert screened(raw(("train", "1", "a"), ("train", "one", "b")))[0] == ["1", "one"]


def test_the_first_of_the_same_texts_stays() -> None:
    table = raw(
        ("train", "x", "a"), ("train", "y", "b"), ("train", " x\n", "b"), ("test", "z", "a")
    )
    kept, reasons, counts = screened(table)
    assert kept == ["x", "y", "z"]
    assert reasons == {2: ["duplicate: the same text as row 1 of the train split"]}
    assert (counts["duplicates"], counts["leakage"]) == (1, 0)


def test_a_quarantined_row_is_nobodys_original() -> None:
    kept, reasons, _ = screened(raw(("train", "x", None), ("train", "x", "a"), ("test", "x", None)))
    assert kept == ["x"]
    assert reasons.keys() == {0, 2}


@pytest.mark.parametrize(
    ("splits", "stays"),
    [
        (("train", "validation", "test"), "test"),
        (("test", "train"), "test"),
        (("train", "validation"), "validation"),
        (("validation", "test"), "test"),
    ],
)
def test_a_leaked_text_stays_in_test_then_in_validation(splits: Sequence[str], stays: str) -> None:
    table = raw(*((split, "x", "a") for split in splits))
    _, reasons, counts = screened(table)
    assert [s for index, s in enumerate(splits) if index not in reasons] == [stays]
    assert {why for row in reasons.values() for why in row} == {
        f"leakage: the same text is in the {stays} split"
    }
    assert counts["leakage"] == len(splits) - 1


REPEATED = raw(
    ("train", "x", "a"),
    ("train", "x", "a"),
    ("train", "y", "b"),
    ("train", "y", "b"),
    ("test", "x", "a"),
)


def test_a_row_that_is_duplicate_and_leaked_is_counted_once() -> None:
    kept, reasons, counts = screened(REPEATED)
    assert kept == ["y", "x"]
    assert reasons.keys() == {0, 1, 3}
    assert (counts["duplicates"], counts["leakage"]) == (2, 1)


def test_warned_duplicates_do_not_hide_a_leak() -> None:
    kept, reasons, counts = screened(REPEATED, duplicates="warn")
    assert kept == ["y", "y", "x"]
    assert reasons.keys() == {0, 1}
    assert (counts["duplicates"], counts["leakage"]) == (2, 2)


def test_a_warning_keeps_every_row_and_counts() -> None:
    kept, reasons, counts = screened(REPEATED, duplicates="warn", leakage="warn")
    assert len(kept) == len(REPEATED.frame)
    assert reasons == {}
    assert (counts["duplicates"], counts["leakage"]) == (2, 2)


@pytest.mark.parametrize(("rule", "rows"), [("duplicates", 2), ("leakage", 1)])
def test_a_refused_rule_names_the_first_row_and_shows_no_text(rule: str, rows: int) -> None:
    table = Raw(REPEATED.frame.replace({"text": {"x": SECRET}}), REPEATED.files)
    with pytest.raises(DataError, match=rf"{rows} rows break the rule `{rule}`") as caught:
        screened(table, **{rule: "refuse"})
    assert str(caught.value).startswith(f"train.csv row {2 if rule == 'duplicates' else 1}: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("rule", ["duplicates", "leakage"])
def test_a_refused_rule_that_nothing_breaks_is_silent(rule: str) -> None:
    assert screened(raw(("train", "x", "a"), ("test", "y", "a")), **{rule: "refuse"})[0] == [
        "x",
        "y",
    ]


def test_no_rows_break_no_rule() -> None:
    empty = Raw(REPEATED.frame.iloc[:0], REPEATED.files)
    assert screened(empty)[1] == {}
