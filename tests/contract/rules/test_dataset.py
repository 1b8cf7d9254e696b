"""Valid rows held against each other: what leaves, what only counts, and who stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.applications import registry as applications
from tasks.contract.passes import parallel
from tasks.contract.passes.parallel import Folders
from tasks.contract.rows import catalogue
from tasks.contract.rows import layout as layouts
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules.dataset import Whole
from tasks.contract.rules.findings import Findings
from tasks.contract.sources.json_lines import JsonLines
from tasks.contract.sources.splits import SPLITS, Sources
from tests.support.tables import Row, pipeline, write_table

LONG = "The committee of the rowing club decided on Tuesday that every boat must be in its shed"
Given = tuple[str, str, str]


def judged(folder: Path, *rows: Given, **contract: Any) -> Whole:
    """Rows as ``(split, text, label)``, in files of their own, numbered by split."""
    found = {
        split: [{"text": text, "label": label} for where, text, label in rows if where == split]
        for split in SPLITS
    }
    return judged_files(folder, {split: some for split, some in found.items() if some}, **contract)


def judged_files(
    folder: Path, rows: dict[str, list[Row]], data: Any = None, **contract: Any
) -> Whole:
    for split, some in rows.items():
        write_table(folder / f"{split}.jsonl", some)
    names = {split: f"{split}.jsonl" for split in SPLITS}
    config = pipeline(folder, {**names, **(data or {})}, contract)
    found = {split: [JsonLines(folder / f"{split}.jsonl")] for split in SPLITS if split in rows}
    sources = Sources(found, {})
    application = applications.get(config.application)
    layout = layouts.find_columns(config.data, application, sources)
    folders = Folders(folder / "spool", folder / "refused", folder / "fixes.jsonl")
    for scratch in (folders.spool, folders.refused):
        scratch.mkdir()
    parts = parallel.screen_all(config, layout, sources, folders, 1)
    sizes = [len(part.catalogue) for part in parts]
    joined = catalogue.merged([part.catalogue for part in parts], [0] * len(parts))
    spool = SpoolReader([part.task.spool for part in parts], sizes)
    whole = Whole(config, application, joined, spool, layout.files, Findings())
    whole.judge()
    return whole


def stays(whole: Whole) -> list[tuple[str, int]]:
    """The split and the number of each row that stays."""
    places = (whole.place(n) for n in range(len(whole.rows)) if whole.kept[n])
    return [(place.split, place.row) for place in places]


def leaves(whole: Whole) -> dict[tuple[str, int], list[tuple[str, str]]]:
    """Why each other row leaves."""
    assert {n for n in range(len(whole.rows)) if not whole.kept[n]} == set(whole.reasons)
    places = {n: whole.place(n) for n in whole.reasons}
    return {(places[n].split, places[n].row): why for n, why in whole.reasons.items()}


def counted(whole: Whole) -> dict[str, int]:
    return {rule: n for rule, n in whole.findings.found.items() if n}


def test_good_rows_stay(tmp_path: Path) -> None:
    whole = judged(tmp_path, ("train", "x", "a"), ("test", "y", "b"))
    assert stays(whole) == [("train", 1), ("test", 1)]
    assert (leaves(whole), counted(whole)) == ({}, {})
    assert whole.findings.looked_at["duplicates"] == whole.findings.looked_at["leakage"] == 2


def test_the_first_of_the_same_rows_stays(tmp_path: Path) -> None:
    whole = judged(
        tmp_path,
        ("train", "x", "a"),
        ("train", "y", "b"),
        ("train", " x\n", "a"),
        ("test", "z", "a"),
    )
    why = [("duplicates", "duplicate: the same text as row 1 of the train split")]
    assert leaves(whole) == {("train", 3): why}
    assert counted(whole) == {"duplicates": 1}


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
    whole = judged(tmp_path, *((split, "x", "a") for split in splits))
    assert stays(whole) == [(home, 1)]
    why = [("leakage", f"leakage: the same text is in the {home} split")]
    assert leaves(whole) == {(split, 1): why for split in splits if split != home}
    assert counted(whole) == {"leakage": len(splits) - 1}


REPEATED: list[Given] = [
    ("train", "x", "a"),
    ("train", "x", "a"),
    ("train", "y", "b"),
    ("train", "y", "b"),
    ("test", "x", "a"),
]


def test_a_row_that_is_duplicate_and_leaked_is_counted_once(tmp_path: Path) -> None:
    whole = judged(tmp_path, *REPEATED)
    assert stays(whole) == [("train", 3), ("test", 1)]
    assert counted(whole) == {"duplicates": 2, "leakage": 1}


def test_warned_duplicates_do_not_hide_a_leak(tmp_path: Path) -> None:
    whole = judged(tmp_path, *REPEATED, rules={"duplicates": "warn"})
    assert stays(whole) == [("train", 3), ("train", 4), ("test", 1)]
    assert counted(whole) == {"duplicates": 2, "leakage": 2}


def test_a_warning_keeps_every_row_and_counts(tmp_path: Path) -> None:
    whole = judged(tmp_path, *REPEATED, rules={"duplicates": "warn", "leakage": "warn"})
    assert whole.kept.all()
    assert counted(whole) == {"duplicates": 2, "leakage": 2}
    places = [example.place.row for example in whole.findings.examples["duplicates"]]
    assert places == [2, 4]


@pytest.mark.parametrize("rule", ["duplicates", "leakage"])
def test_what_is_refused_leaves_too(tmp_path: Path, rule: str) -> None:
    whole = judged(tmp_path, *REPEATED, rules={rule: "refuse"})
    assert stays(whole) == [("train", 3), ("test", 1)]


def test_conflicting_labels_count_and_the_rows_are_duplicates(tmp_path: Path) -> None:
    rows: list[Given] = [("train", "x", "a"), ("train", "x", "b"), ("train", "y", "b")]
    whole = judged(tmp_path / "warn", *rows)
    assert counted(whole) == {"label_conflict": 2, "duplicates": 1}
    whole = judged(tmp_path / "leave", *rows, rules={"label_conflict": "quarantine"})
    assert stays(whole) == [("train", 3)]
    assert counted(whole) == {"label_conflict": 2}


def test_the_rows_of_a_group_stay_in_one_split(tmp_path: Path) -> None:
    names = {"train": ["c1", "c2", None], "validation": ["c2", "c3"], "test": ["c3", "c4", None]}
    rows = {
        split: [
            {"text": f"{split} {n}", "label": "ab"[n % 2], "customer": c}
            for n, c in enumerate(some)
        ]
        for split, some in names.items()
    }
    whole = judged_files(tmp_path, rows, {"group_column": "customer"})
    assert leaves(whole) == {
        ("train", 2): [("group_leakage", "leakage: the same group is in the validation split")],
        ("train", 3): [("group_leakage", "leakage: the same group is in the test split")],
        ("validation", 2): [("group_leakage", "leakage: the same group is in the test split")],
    }


NEAR: list[Given] = [
    ("train", f"{LONG} again", "a"),
    ("train", f"{LONG} today", "a"),
    ("test", f"{LONG} tonight", "a"),
    ("train", "Let the dough rest overnight so that the crust becomes crisp.", "b"),
]


def test_nearly_equal_texts_only_count(tmp_path: Path) -> None:
    whole = judged(tmp_path, *NEAR)
    assert whole.kept.all()
    assert counted(whole)["near_leakage"] == 2
    assert whole.findings.looked_at["near_leakage"] == 4


def test_nearly_equal_texts_leave_the_test_split_alone(tmp_path: Path) -> None:
    severity = dict.fromkeys(("near_leakage", "near_duplicates"), "quarantine")
    whole = judged(tmp_path, *NEAR, rules=severity)
    assert stays(whole) == [("train", 3), ("test", 1)]
    assert all(
        rule == "near_leakage" and why.endswith("the same as row 1 of the test split")
        for ((rule, why),) in leaves(whole).values()
    )


def test_nearly_equal_is_what_the_threshold_says(tmp_path: Path) -> None:
    assert counted(judged(tmp_path, *NEAR, near_duplicate_threshold=1.0)) == {}


def test_a_sample_of_none_turns_slow_rules_off(tmp_path: Path) -> None:
    whole = judged(tmp_path, *NEAR, sample_size=0)
    assert counted(whole) == {}
    assert whole.findings.looked_at["near_leakage"] == 0
    assert whole.findings.looked_at["wrong_language"] == 0
    assert whole.findings.looked_at["duplicates"] == 4


def test_texts_in_another_language_count_and_may_leave(tmp_path: Path) -> None:
    rows: list[Given] = [
        ("train", LONG, "a"),
        ("train", "Der Vorstand hat am Dienstag beschlossen, dass jedes Boot zurück muss.", "b"),
    ]
    assert counted(judged(tmp_path / "warn", *rows)) == {"wrong_language": 1}
    whole = judged(tmp_path / "leave", *rows, rules={"wrong_language": "quarantine"})
    assert stays(whole) == [("train", 1)]
    (((rule, why),),) = leaves(whole).values()
    assert (rule, why) == ("wrong_language", "text: the text is de, declared is en")


def test_rare_labels_leave_if_they_are_to(tmp_path: Path) -> None:
    rows = [("train", f"text {n}", "ab"[n % 2]) for n in range(10)]
    rare = [("train", "rare one", "c"), ("test", "rare other", "c")]
    contract: dict[str, Any] = {"min_rows_per_class": 3, "sample_size": 0}
    whole = judged(tmp_path / "refuse", *rows, *rare, **contract)
    assert (whole.kept.all(), counted(whole), whole.rare_minimum) == (True, {}, 3)
    contract["rules"] = {"rare_label": "quarantine"}
    whole = judged(tmp_path / "quarantine", *rows, *rare, **contract)
    why = [("rare_label", "the label has fewer than 3 training rows")]
    assert leaves(whole) == {("train", 11): why, ("test", 1): why}
    contract["rules"] = {"rare_label": "warn"}
    whole = judged(tmp_path / "warn", *rows, *rare, **contract)
    assert (whole.kept.all(), counted(whole), whole.rare_minimum) == (True, {"rare_label": 2}, 1)


@pytest.mark.parametrize("shown", [True, False])
def test_examples_have_the_text_only_if_it_may_be_shown(tmp_path: Path, shown: bool) -> None:
    whole = judged(tmp_path, *REPEATED, show_text=shown)
    texts = [example.text for example in whole.findings.examples["duplicates"]]
    assert texts == (["x", "y"] if shown else ["", ""])


def test_a_census_has_what_stays(tmp_path: Path) -> None:
    census = judged(tmp_path, *REPEATED).census(["text"])
    assert census.counts == {"train": {"b": 1}, "validation": {}, "test": {"a": 1}}
