from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from configs.contract import Contract, Privacy, Rules
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Reasons
from tasks.applications.registry import PIPELINES
from tasks.contract.rules import cells as rules
from tests.support import reading

TOPICS = applications.get("topics")
SECRET = "xylophone-7431"
START = 5
"""Index of the first row: rows have left before."""


def config(application: str = "topics", labels: Any = None, **contract: Any) -> Pipeline:
    record = {"name": "parcels", "application": application, "contract": contract}
    return reading.pipeline(record | {"data": {"train": "train.csv", "labels": labels}})


def cells(*rows: tuple[Any, Any], labels: Any = ("a", "b")) -> Reasons:
    """What is wrong with the cells of rows of ``(text, label)``."""
    texts, targets = zip(*rows, strict=True)
    columns = {"text": pd.Series(texts, dtype=object), "label": pd.Series(targets, dtype=object)}
    frame = pd.DataFrame(columns).set_index(pd.Index(range(START, START + len(rows))))
    return rules.violations(frame, TOPICS.rules.schema(config(labels=list(labels))))


def characters(texts: Iterable[str | None], **contract: Any) -> dict[int, list[str]]:
    """The rules that the characters of texts break, by position."""
    column = pd.Series(list(texts), dtype=pd.ArrowDtype(pa.large_string()))
    frame = pd.DataFrame({"text": column})
    frame.index = pd.Index(range(START, START + len(frame)))
    schema = rules.form_schema(["text"], Contract.model_validate(contract))
    found = rules.violations(frame, schema)
    return {index - START: [rule for rule, _ in reasons] for index, reasons in found.items()}


def test_good_rows_break_nothing() -> None:
    assert cells(("x", "a"), ("y", "b")) == {}


@pytest.mark.parametrize(
    ("text", "label", "rule", "reason"),
    [
        (None, "a", "missing", "text: the value is missing"),
        (float("nan"), "a", "missing", "text: the value is missing"),
        ("", "a", "missing", "text: the text is empty"),
        (" \n\t\u3000", "a", "missing", "text: the text is empty"),
        (3, "a", "wrong_type", "text: expected text"),
        ([SECRET], "a", "wrong_type", "text: expected text"),
        ({"x": SECRET}, "a", "wrong_type", "text: expected text"),
        ("y", None, "missing", "label: the value is missing"),
        ("y", SECRET, "unknown_label", "label: the label is not declared"),
    ],
)
def test_a_cell_of_the_wrong_form_breaks_a_rule(
    text: object, label: object, rule: str, reason: str
) -> None:
    found = cells(("x", "a"), (text, label), ("z", "b"))
    assert found == {START + 1: [(rule, reason)]}


def test_a_row_may_have_several_reasons() -> None:
    missing = "the value is missing"
    reasons = [("missing", f"text: {missing}"), ("missing", f"label: {missing}")]
    assert cells(("x", "a"), (None, None)) == {START + 1: reasons}


def test_reasons_keep_the_order_of_rows_and_columns_apart() -> None:
    found = cells((None, "a"), ("x", SECRET), ("y", "b"), ("", SECRET))
    assert {index: [rule for rule, _ in why] for index, why in found.items()} == {
        START: ["missing"],
        START + 1: ["unknown_label"],
        START + 3: ["missing", "unknown_label"],
    }


def test_no_rows_break_no_rule() -> None:
    frame = pd.DataFrame({"text": [], "label": []}, dtype=object)
    assert rules.violations(frame, TOPICS.rules.schema(config(labels=["a", "b"]))) == {}
    assert characters([]) == {}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("\u200b\u2060", "missing"),
        ("cafÃ© au lait", "mojibake"),
        ("a lost \ufffd character", "replacement"),
        ("a bell \x07 rings", "control"),
        ("so <b>bold</b>", "html"),
        ("this &amp; that", "html"),
    ],
)
def test_characters_break_the_rule_of_their_name(text: str, rule: str) -> None:
    assert characters(["a sound text", text, "“naïve” — 漢字 🙂"]) == {1: [rule]}


def test_a_text_that_is_not_there_is_left_to_the_checks_of_cells() -> None:
    assert characters([None, "x"]) == {}
    assert cells((None, "a")) == {START: [("missing", "text: the value is missing")]}


def test_a_text_may_break_several_rules() -> None:
    assert set(characters(["cafÃ© <b>\x07\ufffd"])[0]) == {
        "mojibake",
        "html",
        "control",
        "replacement",
    }


def test_lengths_are_declared_and_counted_in_characters() -> None:
    texts = ["ab", "abc", "🙂é漢字", "abcde"]
    assert characters(texts, min_characters=3, max_characters=4) == {0: ["length"], 3: ["length"]}
    assert characters(texts) == {}


def test_reasons_never_show_a_text() -> None:
    text = f"{SECRET} cafÃ© <b>\x07\ufffd"
    column = pd.Series([text], dtype=pd.ArrowDtype(pa.large_string()))
    schema = rules.form_schema(["text"], Contract(min_characters=1, max_characters=5))
    found = rules.violations(pd.DataFrame({"text": column}), schema)
    assert len(found[0]) == 5
    assert "xylo" not in str(found)
    assert all(reason.startswith("text: ") for _, reason in found[0])
    assert ("length", "text: expected 1 to 5 characters") in found[0]


def test_reasons_of_several_checks_are_merged() -> None:
    one: Reasons = {1: [("a", "x")], 2: [("b", "y")]}
    other: Reasons = {2: [("c", "z")], 3: [("d", "w")]}
    merged = rules.merge(one, {}, other)
    assert merged == {1: [("a", "x")], 2: [("b", "y"), ("c", "z")], 3: [("d", "w")]}
    assert one == {1: [("a", "x")], 2: [("b", "y")]}


def test_severities_are_those_of_the_contract() -> None:
    contract = Contract.model_validate(
        {"rules": {"html": "refuse"}, "privacy": {"email": "refuse", "phone": "allow"}}
    )
    names = ["html", "control", "missing", rules.UNREADABLE, "privacy.email", "privacy.card"]
    assert [rules.severity(name, contract) for name in names] == [
        "refuse",
        "warn",
        "quarantine",
        "quarantine",
        "refuse",
        "redact",
    ]


PRIVATE = [f"privacy.{kind}" for kind in Privacy.model_fields if kind != "countries"]
CONTRACTS: list[Contract] = [kind.model_fields["contract"].default for kind in PIPELINES.values()]


@pytest.mark.parametrize("contract", CONTRACTS, ids=PIPELINES)
def test_every_rule_has_a_severity_a_group_and_a_sentence(contract: Contract) -> None:
    section = type(contract.rules)
    for rule in [*section.model_fields, *PRIVATE, rules.UNREADABLE]:
        assert rules.severity(rule, contract) in ("refuse", "quarantine", "drop", "warn", "redact")
        assert rules.group(rule) in ("form", "splits", "application")
        assert rules.documentation(rule, section).endswith(".")
        assert "\n" not in rules.documentation(rule, section)


def test_every_rule_is_in_one_group() -> None:
    listed = [*rules.ROW_RULES, *rules.SPLIT_RULES]
    assert sorted([*listed, "wrong_language"]) == sorted(Rules.model_fields)
    groups = {rule: rules.group(rule) for rule in Rules.model_fields}
    assert "application" not in groups.values()


@pytest.mark.parametrize(
    ("application", "own"),
    [
        ("topics", set()),
        ("questions", {"answer_offset", "answer_missing"}),
        ("translation", {"copied_source", "length_ratio", "wrong_script", "numbers"}),
        ("summarization", {"longer_than_document", "copied_verbatim", "no_overlap"}),
    ],
)
def test_rows_are_held_against_the_rules_of_their_application(
    application: str, own: set[str]
) -> None:
    found = rules.checked(applications.get(application), config(application))
    assert {rule for rule in found if rules.group(rule) == "application"} == own
    assert not set(found) & set(rules.SPLIT_RULES)


def test_labels_are_checked_where_they_are_declared() -> None:
    assert "unknown_label" not in rules.checked(TOPICS, config())
    assert "unknown_label" in rules.checked(TOPICS, config(labels=["a", "b"]))


def test_private_data_is_looked_for_unless_it_is_allowed() -> None:
    privacy = {"email": "allow", "phone": "refuse"}
    found = rules.checked(TOPICS, config(privacy=privacy))
    assert "privacy.email" not in found
    assert "privacy.national_id" not in found
    assert {"privacy.phone", "privacy.card"} <= set(found)
    with_countries = config(privacy={**privacy, "countries": ["us"]})
    assert "privacy.national_id" in rules.checked(TOPICS, with_countries)
