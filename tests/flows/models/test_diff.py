"""Which test rows two versions answer differently."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.errors import UserError
from flows.models.diff import examples, references


def outcomes(answer_scores: dict[str, float | None]) -> pd.DataFrame:
    """How good a version answers each input."""
    rows = [
        ("test.csv", at, name, merit) for at, (name, merit) in enumerate(answer_scores.items(), 2)
    ]
    return pd.DataFrame(rows, columns=["file", "row", "input", "merit"])


def test_rows_are_matched_by_their_input() -> None:
    one = outcomes({"gone": 1, "same": 1, "worse": 1, "better": 0})
    two = outcomes({"better": 1, "same": 1, "worse": 0, "new": 1})
    found = examples(one, two, same=True)
    assert found is not None
    assert (found.shared, found.rows, found.better, found.worse) == (3, (4, 4), 1, 1)
    assert found.worst == [{"file": "test.csv", "row": 4, "before": 1.0, "after": 0.0}]
    assert found.best == [{"file": "test.csv", "row": 2, "before": 0.0, "after": 1.0}]


def test_the_largest_loss_comes_first() -> None:
    one, two = outcomes({"a": 0.9, "b": 0.9}), outcomes({"a": 0.8, "b": 0.1})
    found = examples(one, two, same=True)
    assert found is not None
    assert [row["after"] for row in found.worst] == [0.1, 0.8]


def test_versions_without_a_shared_row_have_no_examples() -> None:
    assert examples(outcomes({"a": 1}), outcomes({"b": 1}), same=True) is None
    assert examples(outcomes({"a": None}), outcomes({"a": 1}), same=True) is None


def test_two_metrics_are_compared_only_if_both_say_right_or_wrong() -> None:
    right, graded = outcomes({"a": 1, "b": 0}), outcomes({"a": 0.7, "b": 0})
    assert examples(right, graded, same=False) is None
    assert examples(right, right, same=False) is not None


@pytest.mark.parametrize(
    ("words", "uris"),
    [
        (("a", "1", "2"), ("models:/a/1", "models:/a/2")),
        (("a/1", "2"), ("models:/a/1", "models:/a/2")),
        (("a@champion", "b/2"), ("models:/a@champion", "models:/b/2")),
        (("a", "b"), ("models:/a@champion", "models:/b@champion")),
    ],
)
def test_versions_are_of_one_model_or_of_two(words: tuple[str, ...], uris: tuple[str, str]) -> None:
    assert tuple(one.uri for one in references(*words)) == uris


@pytest.mark.parametrize("words", [("a", "1", "x"), ("a", "b", "2"), ("a/x", "b")])
def test_a_version_that_is_no_number_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="expected the number of a version"):
        references(*words)


def test_examples_have_the_line_and_the_id_of_their_row() -> None:
    one, two = outcomes({"a": 1, "b": 1}), outcomes({"a": 0, "b": 0})
    two = two.assign(line=[7, None], id=["T-1", ""])
    found = examples(one, two, same=True)
    assert found is not None
    place = {"file": "test.csv", "before": 1.0, "after": 0.0}
    assert found.worst == [place | {"row": 2, "line": 7, "id": "T-1"}, place | {"row": 3}]
