"""Signs of a model that was trained too little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.schema import Pipeline
from flows.run import hints
from tasks.store import StoredOutput
from tests.support import reading


@pytest.fixture
def config() -> Pipeline:
    training = {"epochs": 3, "learning_rate": 5e-5}
    data = {"train": "a.csv"}
    record = {"name": "a", "application": "topics", "data": data, "training": training}
    return reading.pipeline(record)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([0.7] * 20, "more training.epochs than 3, or a higher training.learning_rate than 5e-05"),
        ([0.7, 0.69] * 10, "0.6950 at first and 0.6950 at last; try more training.epochs"),
        ([0.7 + 0.01 * at for at in range(20)], "try a lower training.learning_rate than 5e-05"),
        ([0.7 - 0.01 * at for at in range(20)], ""),
        # Too few steps to tell, and no steps in this process.
        ([0.7] * 9, ""),
        ([], ""),
        ([float("nan")] * 20, ""),
    ],
)
def test_a_loss_that_has_not_fallen_is_a_hint(
    config: Pipeline, losses: list[float], words: str
) -> None:
    found = list(hints.of_losses(config, losses))
    assert len(found) == bool(words)
    assert all(words in one for one in found)


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ([{"label": "a", "f1": 0.0, "support": 3}, {"label": "b", "f1": 0.9, "support": 5}], "(a)"),
        (
            [{"label": f"l{at}", "f1": 0.0, "support": 3} for at in range(7)],
            "7 of 7 labels have F1 0.0 (l0, l1, l2, l3, l4 and 2 more)",
        ),
        # No test row has the label, or the application has no labels.
        ([{"label": "a", "f1": 0.0, "support": 0}], ""),
        ([{"kind": "answered", "exact": 0.0, "rows": 3}], ""),
        ([], ""),
    ],
)
def test_a_label_that_is_never_right_is_a_hint(
    config: Pipeline, details: list[dict[str, Any]], words: str
) -> None:
    found = list(hints.of_labels(config, details))
    assert len(found) == bool(words)
    assert all(words in one and "training.epochs than 3" in one for one in found)


def test_a_stage_with_two_contents_is_a_hint_with_both_digests(tmp_path: Path) -> None:
    def stored(*contents: str) -> StoredOutput:
        return StoredOutput(tmp_path, "key", contents[-1], {}, False, 1.0, contents=contents)

    one, two = "1" * 64, "2" * 64
    stages = {"validation": stored(one), "tokenization": stored(one, two)}
    (found,) = hints.of_contents(stages)
    assert found.startswith("not reproducible: tokenization has given different outputs for the")
    assert f"{'1' * 12} before and {'2' * 12} in this run" in found
