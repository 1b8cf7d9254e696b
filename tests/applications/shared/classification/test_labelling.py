"""Raw labels become names, bad ones are found, and the training rows fix the rest."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from configs.schema import Pipeline
from tasks.applications.base import Reasons
from tasks.applications.facts import Census
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.topics.application import APPLICATION
from tasks.contract.rules.cells import violations

TARGETS = {"single": "label", "multiple": "labels", "ordinal": "label"}


def config(labelling: str, **data: Any) -> Pipeline:
    """A pipeline with some labelling."""
    record = {"train": "train.csv", "labelling": labelling, **data}
    return Pipeline.model_validate({"name": "topics", "application": "topics", "data": record})


def frame_of(labelling: str, values: list[Any]) -> pd.DataFrame:
    """Rows with some labels, as they were read."""
    columns = {"text": [f"text {n}" for n in range(len(values))], TARGETS[labelling]: values}
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame.assign(file="train.csv", row=range(1, len(values) + 1))


def normalize(pipeline: Pipeline, values: list[Any], names: list[str] | None = None) -> list[Any]:
    """Labels in canonical form."""
    frame = frame_of(pipeline.data.labelling, values)
    APPLICATION.rows.normalize(frame, pipeline.data, names)
    return frame[TARGETS[pipeline.data.labelling]].to_list()


def learn(pipeline: Pipeline, values: list[Any]) -> ClassificationFacts:
    """What rows with some labels teach."""
    frame = frame_of(pipeline.data.labelling, values)
    APPLICATION.rows.normalize(frame, pipeline.data, None)
    facts = APPLICATION.learning.learn(census(train=frame), pipeline.data)
    assert isinstance(facts, ClassificationFacts)
    return facts


def census(**splits: pd.DataFrame) -> Census:
    """Rows of each split by their labels."""
    counts: dict[str, Counter[Any]] = {}
    first: dict[tuple[str, Any], str] = {}
    for split, frame in splits.items():
        keys = APPLICATION.rows.target_keys(frame)
        assert keys is not None
        counts[split] = Counter(keys)
        for value, row in zip(keys, frame["row"], strict=True):
            first.setdefault((split, value), f"train.csv row {row}")
    return Census(("text",), counts, first)


def reasons(pipeline: Pipeline, values: list[Any]) -> Reasons:
    """Why rows are set aside."""
    frame = frame_of(pipeline.data.labelling, values)
    APPLICATION.rows.normalize(frame, pipeline.data, None)
    return violations(frame, APPLICATION.rules.schema(pipeline))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("sports|politics", ["sports", "politics"]),
        (" sports | politics |", ["sports", "politics"]),
        ("", []),
        (" | ", []),
        ("sports|sports", ["sports"]),
        (["sports", "politics"], ["sports", "politics"]),
        (["sports", "sports "], ["sports"]),
        (("sports",), ["sports"]),
        ([], []),
        ([3, 4.0, True], ["3", "4", "true"]),
        (None, None),
        (7, 7),
        ({"sports": 1}, {"sports": 1}),
        (["sports", None], ["sports", None]),
        (["sports", ["politics"]], ["sports", ["politics"]]),
        ("['sports', 'politics']", ["sports", "politics"]),
        ('["sports", 3]', ["sports", "3"]),
        ("('sports',)", ["sports"]),
        ("[]", []),
        ("[sports]|[other]", ["[sports]", "[other]"]),
        ("['sports' 'politics']", "['sports' 'politics']"),
        ("['sports', nan]", "['sports', nan]"),
        ("[1 0 1]", "[1 0 1]"),
        ("{'sports': 1}", "{'sports': 1}"),
        ([b"sports"], [b"sports"]),
        (["sp\u200borts", "cafe\u0301"], ["sports", "caf\u00e9"]),
    ],
)
def test_sets_of_labels_in_canonical_form(cell: Any, expected: Any) -> None:
    assert normalize(config("multiple"), [cell, ["other"]])[0] == expected


def test_separator_is_declared() -> None:
    assert normalize(config("multiple", label_separator="; "), ["a|b; c", "d"]) == [
        ["a|b", "c"],
        ["d"],
    ]


def test_sets_of_declared_labels_by_value_and_by_declared_number() -> None:
    mapping = config("multiple", labels={"s": "sports", "p": "politics"})
    assert normalize(mapping, ["s|p", ["x"]]) == [["sports", "politics"], ["x"]]
    listed = config("multiple", labels={0: "sports", 1: "politics", 2: "other"})
    assert normalize(listed, ["0|2", [1, "2.0"]]) == [["sports", "other"], ["politics", "other"]]
    assert normalize(config("multiple"), [[1, 0]], ["sports", "politics"]) == [
        ["politics", "sports"]
    ]


def ambiguities(
    pipeline: Pipeline, values: list[Any], names: list[str] | None = None
) -> list[tuple[str, str]]:
    """What is asked about labels."""
    readings = APPLICATION.rows.readings(frame_of(pipeline.data.labelling, values), pipeline.data)
    return list(APPLICATION.rows.ambiguities(readings, pipeline.data, names))


@pytest.mark.parametrize(
    ("labels", "values", "names"),
    [
        (["late", "broken"], [[1, 0]], None),
        (["late", "broken"], [[True, False], [False, False]], None),
        (["late", "broken"], ["1|0", "0|1"], None),
        (["late", "broken"], ["[1, 0]", "[0, 1]"], None),
        (None, [[1, 0, 0], [0, 1, 0]], None),
        ({0: "late", 1: "broken"}, [[1, 0], [1, 1]], None),
        (None, [[1, 0], [1, 1]], ["late", "broken"]),
        (None, [["late"], [1, 0]], None),
        (None, ["late|broken", "", "0|1|1", "1|0"], None),
        (["late", "broken"], [["late"], [True, False]], None),
        (None, ["1 0 1", "0 1 1"], None),
        (None, ["10", "01", "11"], None),
    ],
)
def test_flags_of_labels_are_asked_for(labels: Any, values: list[Any], names: Any) -> None:
    ((found, advice),) = ambiguities(config("multiple", labels=labels), values, names)
    assert "they may mark the labels that it has, or be the numbers of its labels" in found
    assert "write the names of each row's labels" in advice


@pytest.mark.parametrize(
    ("labels", "values", "names"),
    [
        ({0: "late", 1: "broken"}, [[1, 0], [0, 1]], None),
        (None, [[1, 0], [0, 1]], ["late", "broken"]),
        (["0", "1"], [[1, 0]], None),
        (None, [[1], [0], [1, 0]], None),
        (None, [[1, 0], [2], [1, 1]], None),
        (None, ["10", "11"], None),
        (None, ["01", "02", "11"], None),
        (["01", "10", "11"], ["01", "10", "11"], None),
        (["late", "broken"], [[], ["late"], ["late", "broken"]], None),
    ],
)
def test_numbers_of_labels_that_are_declared_are_not_asked_for(
    labels: Any, values: list[Any], names: Any
) -> None:
    assert ambiguities(config("multiple", labels=labels), values, names) == []


def test_a_data_sets_own_names_are_the_values_of_its_rows() -> None:
    names, values = ["neg", "pos"], [0, 1, "pos", -1, None]
    assert normalize(config("single"), values, names) == ["neg", "pos", "pos", None, None]
    listed = config("single", labels=["pos", "neg"])
    assert normalize(listed, values, names) == ["neg", "pos", "pos", None, None]
    for labels in ({0: "bad", 1: "good"}, {"neg": "bad", "pos": "good"}):
        renamed = config("single", labels=labels)
        assert normalize(renamed, values, names) == ["bad", "good", "good", None, None]
    stars = config("ordinal")
    assert normalize(stars, [0, 4], ["1", "2", "3", "4", "5"]) == ["1", "5"]


@pytest.mark.parametrize("labelling", ["single", "ordinal", "multiple"])
def test_a_list_that_has_none_of_a_data_sets_own_names_is_asked_for(labelling: str) -> None:
    pipeline = config(labelling, labels=["bad", "good"])
    values: list[Any] = [[1], [0], []] if labelling == "multiple" else [1, 0]
    ((found, advice),) = ambiguities(pipeline, values, ["neg", "pos"])
    assert found == "the data set names its classes 'neg', 'pos', and data.labels has 'bad', 'good'"
    assert "data.labels: {neg: 'bad', pos: 'good'} or {neg: 'good', pos: 'bad'}" in advice
    declared = config(labelling, labels={"neg": "bad", "pos": "good"})
    assert ambiguities(declared, values, ["neg", "pos"]) == []


UNSEEN = st.sampled_from(["", "\u200b", "\ufeff", "\u2060", "\u00ad", "\u200c", "\u200d"])
WORD = st.text("ab\u00e9\u00fcz-_[]3", min_size=1, max_size=8)


@given(words=st.lists(WORD, min_size=1, max_size=3), data=st.data())
def test_a_label_is_the_same_however_its_signs_are_stored(
    words: list[str], data: st.DataObject
) -> None:
    label = " ".join(words)
    form = data.draw(st.sampled_from(["NFC", "NFD"]))
    blank = data.draw(st.sampled_from([" ", "  ", "\u00a0", "\t"]))
    written = "".join(
        data.draw(UNSEEN) + (blank if sign == " " else sign)
        for sign in unicodedata.normalize(form, label)
    )
    pipeline = config("single")
    assert normalize(pipeline, [written, blank + label]) == normalize(pipeline, [label, label])


@given(number=st.integers(-1000, 1000), zeros=st.integers(0, 3))
def test_a_whole_number_is_one_label(number: int, zeros: int) -> None:
    written = f"{number}." + "0" * zeros if zeros else str(number)
    values = [number, float(number), written]
    assert set(normalize(config("single"), values)) == {str(number)}
    mapping = config("single", labels={number: "yes", number + 1: "no"})
    assert set(normalize(mapping, values)) == {"yes"}


def test_what_is_not_a_set_of_declared_labels_is_found() -> None:
    pipeline = config("multiple", labels=["sports", "politics", "other"])
    values = [["sports"], "", None, 7.5, ["sports", None], ["x"], "sports|x", {"sports": 1}]
    words = "expected a list of labels, or text with the separator between them"
    malformed = [("wrong_type", f"labels: {words}")]
    unknown = [("unknown_label", "labels: a label is not declared")]
    assert reasons(pipeline, values) == {
        2: [("missing", "labels: the value is missing")],
        3: malformed,
        4: malformed,
        5: unknown,
        6: unknown,
        7: malformed,
    }


def test_any_label_will_do_if_none_is_declared() -> None:
    assert reasons(config("multiple"), [["x"], "y|z", []]) == {}


def test_facts_of_sets() -> None:
    facts = learn(config("multiple"), ["b|a", [], ["c", "a"], "a"])
    assert facts.record() == {
        "inputs": ["text"],
        "labelling": "multiple",
        "labels": ["a", "b", "c"],
        "counts": {"a": 3, "b": 1, "c": 1},
        "rows": 4,
    }


def test_declared_labels_keep_their_order_in_sets() -> None:
    pipeline = config("multiple", labels=["z", "a", "m"])
    facts = learn(pipeline, ["a", "m|z"])
    assert facts.labels == ("z", "a", "m")
    frame = frame_of("multiple", [["a"], [], ["m", "z"]])
    stored = APPLICATION.rows.store(frame, facts)
    assert stored["labels"] == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize("values", [[["a"], [], ["a"]], [[], [], []]])
def test_sets_of_one_label_teach_nothing(values: list[Any]) -> None:
    with pytest.raises(DataError, match="column 'labels': expected at least two labels"):
        learn(config("multiple"), values)


def test_text_in_place_of_labels_is_refused() -> None:
    values = [f"a whole sentence, number {n}" for n in range(200)]
    with pytest.raises(DataError, match=r"name the label column with data\.columns\.labels"):
        learn(config("multiple", columns={"labels": "body"}), values)


def test_problems_of_sets() -> None:
    facts = learn(config("multiple"), [["a", "b"], ["a"], ["b", "a"], []])
    train = frame_of("multiple", [["a", "b"], ["a"], []])
    test = frame_of("multiple", [[], ["c", "a"], ["c"]])
    counted = census(train=train, validation=train, test=test)
    assert APPLICATION.rules.dataset_problems(counted, facts, 2) == [
        "label 'b': expected at least 2 training rows, found 1",
        "label 'c' never occurs in training (2 test rows, first at train.csv row 2)",
    ]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["10", "9", "1", "9"], ["1", "9", "10"]),
        ([3, 1.0, "2.0", "02"], ["1", "2", "3"]),
        (["0.5", "-1", "10", "1.25"], ["-1", "0.5", "1.25", "10"]),
    ],
)
def test_numbers_are_ordered_as_numbers(values: list[Any], labels: list[str]) -> None:
    facts = learn(config("ordinal"), values)
    assert facts.labels == tuple(labels)
    assert facts.scale == tuple(float(label) for label in labels)


def test_declared_order_of_words() -> None:
    pipeline = config("ordinal", labels=["bad", "fair", "good"])
    facts = learn(pipeline, ["good", "bad", "fair", " fair"])
    assert (facts.labels, facts.scale) == (("bad", "fair", "good"), (0.0, 1.0, 2.0))
    assert facts.counts == {"bad": 1, "fair": 2, "good": 1}
    undeclared = [("unknown_label", "label: the label is not declared")]
    assert reasons(pipeline, ["good", "excellent"]) == {1: undeclared}


def test_declared_order_of_numbers() -> None:
    assert learn(config("ordinal", labels=[1, 2, 5]), ["5", "1.0", 2]).scale == (1.0, 2.0, 5.0)
    falling = learn(config("ordinal", labels=[3, 2, 1]), ["1", "2", "3"])
    assert (falling.labels, falling.scale) == (("3", "2", "1"), (0.0, 1.0, 2.0))


@pytest.mark.parametrize("word", ["good", "nan", "inf", "true"])
def test_words_without_an_order_are_refused(word: str) -> None:
    with pytest.raises(DataError, match=f"found '{word}'.*data.labels, lowest first"):
        learn(config("ordinal"), ["1", "2", word])


def test_steps_are_stored_as_positions() -> None:
    facts = learn(config("ordinal"), ["1", "3", "5"])
    frame = frame_of("ordinal", ["5", "1", "3"])
    assert APPLICATION.rows.store(frame, facts)["label"] == [2, 0, 1]


@pytest.mark.parametrize(
    ("labelling", "primary_metric", "outputs", "kind"),
    [
        ("single", "macro_f1", 3, "single_label_classification"),
        ("multiple", "micro_f1", 3, "multi_label_classification"),
        ("ordinal", "mean_absolute_error", 1, "regression"),
    ],
)
def test_what_each_labelling_asks_of_the_model(
    labelling: str, primary_metric: str, outputs: int, kind: str
) -> None:
    pipeline = config(labelling)
    arguments = APPLICATION.learning.model_arguments(learn(pipeline, ["1", "2", "3"]))
    assert arguments["num_labels"] == outputs
    assert arguments["problem_type"] == kind
    named = {0: "1", 1: "2", 2: "3"} if outputs == 3 else None
    assert arguments.get("id2label") == named
    assert APPLICATION.scoring.primary_metric(pipeline.data) == primary_metric
    columns = [(column.name, column.optional) for column in APPLICATION.rows.columns(pipeline.data)]
    assert columns == [("text", False), ("text_pair", True), (TARGETS[labelling], False)]
