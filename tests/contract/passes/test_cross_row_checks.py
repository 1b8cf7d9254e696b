"""Rules across rows: which rows leave, which only count, and which stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.passes.verdict import rare_minimum
from tasks.contract.sources.splits import SPLITS
from tests.support import passes
from tests.support.tables import Row, pipeline

LONG = "The committee of the rowing club decided on Tuesday that every boat must be in its shed"
Given = tuple[str, str, str]


def checked(folder: Path, *rows: Given, **contract: Any) -> CrossRowResult:
    """Rows as ``(split, text, label)``, in files of their own, numbered by split."""
    found = {
        split: [{"text": text, "label": label} for where, text, label in rows if where == split]
        for split in SPLITS
    }
    return checked_files(folder, {split: some for split, some in found.items() if some}, **contract)


def checked_files(
    folder: Path, rows: dict[str, list[Row]], data: Any = None, **contract: Any
) -> CrossRowResult:
    names = {split: f"{split}.jsonl" for split in SPLITS}
    result = passes.check(folder, rows, {**names, **(data or {})}, **contract).result
    assert result.problems == []
    return result


def stays(result: CrossRowResult) -> list[tuple[str, int]]:
    """The split and the number of each row that stays."""
    places = (result.place(n) for n in range(len(result.rows)) if result.kept[n])
    return [(place.split, place.row) for place in places]


def leaves(result: CrossRowResult) -> dict[tuple[str, int], list[tuple[str, str]]]:
    """Why each other row leaves."""
    assert {n for n in range(len(result.rows)) if not result.kept[n]} == set(result.reasons)
    places = {n: result.place(n) for n in result.reasons}
    return {(places[n].split, places[n].row): why for n, why in result.reasons.items()}


def counted(result: CrossRowResult) -> dict[str, int]:
    return {rule: n for rule, n in result.findings.found.items() if n}


def test_good_rows_stay(tmp_path: Path) -> None:
    result = checked(tmp_path, ("train", "x", "a"), ("test", "y", "b"))
    assert stays(result) == [("train", 1), ("test", 1)]
    assert (leaves(result), counted(result)) == ({}, {})
    assert result.findings.looked_at["duplicates"] == result.findings.looked_at["leakage"] == 2


def test_the_first_of_the_same_rows_stays(tmp_path: Path) -> None:
    result = checked(
        tmp_path,
        ("train", "x", "a"),
        ("train", "y", "b"),
        ("train", " x\n", "a"),
        ("test", "z", "a"),
    )
    file = result.place(0).file
    assert file.endswith("train.jsonl")
    why = [("duplicates", f"duplicate: the same text as {file} row 1 in the train split")]
    assert leaves(result) == {("train", 3): why}
    assert counted(result) == {"duplicates": 1}


@pytest.mark.parametrize("severity", ["drop", "quarantine"])
def test_the_same_text_with_another_target_is_told_apart_from_a_copy(
    tmp_path: Path, severity: str
) -> None:
    given: list[Given] = [("train", "x", "a"), ("train", "x", "b")]
    result = checked(tmp_path, *given, rules={"duplicates": severity})
    (((_, gone), why),) = leaves(result).items()
    other = result.place({1: 1, 2: 0}[gone])
    words = f"duplicate: the same text as {other} in the train split, with another target"
    assert why == [("duplicates", words)]


@pytest.mark.parametrize(
    ("splits", "home"),
    [
        (("train", "validation", "test"), "test"),
        (("train", "test"), "test"),
        (("train", "validation"), "validation"),
    ],
)
def test_a_leaked_text_stays_in_test_then_in_validation(
    tmp_path: Path, splits: Sequence[str], home: str
) -> None:
    result = checked(tmp_path, *((split, "x", "a") for split in splits))
    assert stays(result) == [(home, 1)]
    why = [("leakage", f"leakage: the same text is in the {home} split")]
    assert leaves(result) == {(split, 1): why for split in splits if split != home}
    assert counted(result) == {"leakage": len(splits) - 1}


REPEATED: list[Given] = [
    ("train", "x", "a"),
    ("train", "x", "a"),
    ("train", "y", "b"),
    ("train", "y", "b"),
    ("test", "x", "a"),
]


def test_a_row_that_is_duplicate_and_leaked_is_counted_once(tmp_path: Path) -> None:
    result = checked(tmp_path, *REPEATED)
    assert stays(result) == [("train", 3), ("test", 1)]
    assert counted(result) == {"duplicates": 2, "leakage": 1}


def test_warned_duplicates_do_not_hide_a_leak(tmp_path: Path) -> None:
    result = checked(tmp_path, *REPEATED, rules={"duplicates": "warn"})
    assert stays(result) == [("train", 3), ("train", 4), ("test", 1)]
    assert counted(result) == {"duplicates": 2, "leakage": 2}


def test_a_warning_keeps_every_row_and_counts(tmp_path: Path) -> None:
    result = checked(tmp_path, *REPEATED, rules={"duplicates": "warn", "leakage": "warn"})
    assert result.kept.all()
    assert counted(result) == {"duplicates": 2, "leakage": 2}
    places = [example.place.row for example in result.findings.examples["duplicates"]]
    assert places == [2, 4]


@pytest.mark.parametrize("rule", ["duplicates", "leakage"])
def test_what_is_refused_leaves_too(tmp_path: Path, rule: str) -> None:
    result = checked(tmp_path, *REPEATED, rules={rule: "refuse"})
    assert stays(result) == [("train", 3), ("test", 1)]


def test_a_dropped_copy_leaves_without_a_reason(tmp_path: Path) -> None:
    rules = {"duplicates": "drop", "leakage": "drop"}
    result = checked(tmp_path, *REPEATED, rules=rules)
    assert stays(result) == [("train", 3), ("test", 1)]
    assert result.reasons == {}
    assert [str(result.place(n)).rpartition(" ")[2] for n in result.dropped] == ["2", "4", "1"]
    assert result.rows_dropped() == {"train": 3, "validation": 0, "test": 0}
    assert counted(result) == {"duplicates": 2, "leakage": 1}


def test_the_same_input_with_another_target_is_no_copy(tmp_path: Path) -> None:
    rows: list[Given] = [("train", "x", label) for label in "aba"]
    result = checked(tmp_path, *rows, ("train", "y", "b"), rules={"duplicates": "drop"})
    assert len(result.dropped) == 1
    (why,) = result.reasons.values()
    assert [rule for rule, _ in why] == ["duplicates"]
    assert counted(result) == {"label_conflict": 3, "duplicates": 2}


def test_conflicting_labels_count_and_the_rows_are_duplicates(tmp_path: Path) -> None:
    rows: list[Given] = [("train", "x", "a"), ("train", "x", "b"), ("train", "y", "b")]
    result = checked(tmp_path / "warn", *rows)
    assert counted(result) == {"label_conflict": 2, "duplicates": 1}
    result = checked(tmp_path / "leave", *rows, rules={"label_conflict": "quarantine"})
    assert stays(result) == [("train", 3)]
    assert counted(result) == {"label_conflict": 2}


def test_the_rows_of_a_group_stay_in_one_split(tmp_path: Path) -> None:
    names: dict[str, list[Any]] = {
        "train": ["c1", 2, None],
        "validation": ["2", "c3"],
        "test": ["c3", "c4", None],
    }
    rows = {
        split: [
            {"text": f"{split} {n}", "label": "ab"[n % 2], "customer": c}
            for n, c in enumerate(some)
        ]
        for split, some in names.items()
    }
    result = checked_files(tmp_path, rows, {"group_column": "customer"})
    assert leaves(result) == {
        ("train", 2): [("group_leakage", "leakage: the same group is in the validation split")],
        ("validation", 2): [("group_leakage", "leakage: the same group is in the test split")],
    }


NEAR: list[Given] = [
    ("train", f"{LONG} again", "a"),
    ("train", f"{LONG} today", "a"),
    ("test", f"{LONG} tonight", "a"),
    ("train", "Let the dough rest overnight so that the crust becomes crisp.", "b"),
]


def test_nearly_equal_texts_only_count(tmp_path: Path) -> None:
    result = checked(tmp_path, *NEAR)
    assert result.kept.all()
    assert counted(result)["near_leakage"] == 2
    assert result.findings.looked_at["near_leakage"] == 4


def test_nearly_equal_texts_leave_the_test_split_alone(tmp_path: Path) -> None:
    severity = dict.fromkeys(("near_leakage", "near_duplicates"), "quarantine")
    result = checked(tmp_path, *NEAR, rules=severity)
    assert stays(result) == [("train", 3), ("test", 1)]
    assert all(
        rule == "near_leakage" and why.endswith("test.jsonl row 1 in the test split")
        for ((rule, why),) in leaves(result).values()
    )


def test_nearly_equal_is_what_the_threshold_says(tmp_path: Path) -> None:
    assert counted(checked(tmp_path, *NEAR, near_duplicate_threshold=1.0)) == {}


def test_a_sample_of_none_turns_slow_rules_off(tmp_path: Path) -> None:
    result = checked(tmp_path, *NEAR, sample_size=0)
    assert counted(result) == {}
    assert result.findings.looked_at["near_leakage"] == 0
    assert result.findings.looked_at["wrong_language"] == 0
    assert result.findings.looked_at["duplicates"] == 4


def test_texts_in_another_language_count_and_may_leave(tmp_path: Path) -> None:
    rows: list[Given] = [
        ("train", LONG, "a"),
        ("train", "Der Vorstand hat am Dienstag beschlossen, dass jedes Boot zurück muss.", "b"),
    ]
    assert counted(checked(tmp_path / "warn", *rows)) == {"wrong_language": 1}
    result = checked(tmp_path / "leave", *rows, rules={"wrong_language": "quarantine"})
    assert stays(result) == [("train", 1)]
    (((rule, why),),) = leaves(result).values()
    assert (rule, why) == ("wrong_language", "text: the text is de, declared is en")


def least(folder: Path, contract: dict[str, Any]) -> int:
    return rare_minimum(pipeline(folder, {"train": "train.jsonl"}, contract).contract)


def test_rare_labels_leave_if_they_are_to(tmp_path: Path) -> None:
    rows = [("train", f"text {n}", "ab"[n % 2]) for n in range(10)]
    rare = [("train", "rare one", "c"), ("test", "rare other", "c")]
    contract: dict[str, Any] = {"min_rows_per_class": 3, "sample_size": 0}
    result = checked(tmp_path / "refuse", *rows, *rare, **contract)
    assert (result.kept.all(), counted(result), least(tmp_path, contract)) == (True, {}, 3)
    contract["rules"] = {"rare_label": "quarantine"}
    result = checked(tmp_path / "quarantine", *rows, *rare, **contract)
    why = [("rare_label", "the label has fewer than 3 training rows")]
    assert leaves(result) == {("train", 11): why, ("test", 1): why}
    contract["rules"] = {"rare_label": "warn"}
    result = checked(tmp_path / "warn", *rows, *rare, **contract)
    assert (result.kept.all(), counted(result), least(tmp_path, contract)) == (
        True,
        {"rare_label": 2},
        1,
    )


@pytest.mark.parametrize("shown", [True, False])
def test_examples_have_the_text_only_if_it_may_be_shown(tmp_path: Path, shown: bool) -> None:
    result = checked(tmp_path, *REPEATED, show_text=shown)
    texts = [example.text for example in result.findings.examples["duplicates"]]
    assert texts == (["x", "y"] if shown else ["", ""])


def test_a_census_has_what_stays(tmp_path: Path) -> None:
    census = checked(tmp_path, *REPEATED).census(["text"])
    assert census.counts == {"train": {"b": 1}, "validation": {}, "test": {"a": 1}}
