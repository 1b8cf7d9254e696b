"""Answers of a champion, in terms of the model that challenges it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from tasks.applications import registry as applications
from tasks.applications.shared.classification.labels import ClassificationFacts

TOPICS = applications.get("topics")
OURS = ClassificationFacts(
    inputs=("text",),
    labelling="multiple",
    labels=("a", "b", "c"),
    counts={"a": 1, "b": 1, "c": 1},
    rows=3,
    threshold=0.5,
)


def test_probabilities_follow_the_order_of_this_model() -> None:
    theirs = replace(OURS, labels=("c", "a", "b"))
    said = pd.DataFrame({"labels": [["c"]], "probabilities": [[0.9, 0.2, 0.1]]})
    aligned, _ = TOPICS.scoring.align(said, theirs, OURS)
    assert aligned["probabilities"].tolist() == [[0.2, 0.1, 0.9]]
    assert said["probabilities"].tolist() == [[0.9, 0.2, 0.1]]


def test_the_champion_keeps_its_own_threshold() -> None:
    said = pd.DataFrame({"labels": [["a"]], "probabilities": [[0.3, 0.1, 0.1]]})
    answers, facts = TOPICS.scoring.align(said, replace(OURS, threshold=0.25), OURS)
    scorer = TOPICS.scoring.scorer(facts)
    scorer.update({"labels": [[True, False, False]]}, TOPICS.scoring.served(answers))
    assert scorer.metrics()["subset_accuracy"] == 1.0
    assert OURS.threshold == 0.5


def test_a_scale_that_was_turned_is_another_problem() -> None:
    ours = replace(OURS, labels=("bad", "good"), labelling="ordinal", scale=(0.0, 1.0))
    said = pd.DataFrame({"label": ["good"], "score": [0.8]})
    assert TOPICS.scoring.align(said, ours, ours)[0]["score"].tolist() == [0.8]
    with pytest.raises(ValueError, match="another order of its labels"):
        TOPICS.scoring.align(said, replace(ours, labels=("good", "bad")), ours)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b"], "it lacks c"),
        (["a", "b", "c", "d"], "it has besides d"),
        (["a", "b", "d"], "it lacks c and has besides d"),
    ],
)
def test_other_labels_are_another_problem(labels: list[str], words: str) -> None:
    said = pd.DataFrame({"labels": [["a"]], "probabilities": [[0.3] * len(labels)]})
    with pytest.raises(ValueError, match=f"other labels: {words}$"):
        TOPICS.scoring.align(said, replace(OURS, labels=tuple(labels)), OURS)


@pytest.mark.parametrize("name", ["questions", "translation", "summarization"])
def test_text_needs_no_alignment(name: str) -> None:
    said = pd.DataFrame({"answer": ["x"]})
    assert applications.get(name).scoring.align(said, OURS, OURS) == (said, OURS)
