from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from configs.promotion import Slices
from tasks.applications.questions.scores import AnswerScorer
from tasks.applications.shared.classification.scores.single_label import ClassificationScorer
from tasks.champion.paired import compare, mcnemar, slice_of

LABELS = ["no", "yes"]
ROWS = 400


def scorer(right: NDArray[np.bool_], sure: float = 0.8) -> ClassificationScorer:
    """A model that is right about some rows of alternating classes."""
    true = np.arange(len(right)) % 2
    guess = np.where(right, true, 1 - true)
    probabilities = np.where(guess[:, None] == np.arange(2), sure, 1 - sure)
    made = ClassificationScorer(LABELS)
    made.update({"label": true}, {"probabilities": probabilities})
    return made


def flipped(right: NDArray[np.bool_], *rows: int) -> NDArray[np.bool_]:
    changed = right.copy()
    changed[list(rows)] ^= True
    return changed


HARD = np.random.default_rng(1).random(ROWS) < 0.8


def test_the_gain_is_the_difference_and_its_interval_holds_it() -> None:
    wrong = np.flatnonzero(~HARD)[:20]
    (found,) = compare(
        scorer(flipped(HARD, *wrong)), scorer(HARD), {"accuracy": (0, 1)}, ROWS, 500, 0.95
    )
    assert found.gain == pytest.approx(20 / ROWS)
    assert found.challenger - found.champion == pytest.approx(found.gain)
    assert 0 < found.low < found.gain < found.high


def test_what_is_hard_for_both_does_not_widen_the_interval() -> None:
    wrong = np.flatnonzero(~HARD)[:4]
    (found,) = compare(
        scorer(flipped(HARD, *wrong)), scorer(HARD), {"accuracy": (0, 1)}, ROWS, 500, 0.95
    )
    alone = scorer(HARD).interval("accuracy", 500, 0.95)
    assert found.high - found.low < (alone[1] - alone[0]) / 2


def test_models_with_the_same_answers_are_the_same() -> None:
    (found,) = compare(scorer(HARD), scorer(HARD), {"macro_f1": (0, 1)}, ROWS, 200, 0.95)
    assert (found.gain, found.same) == (0, True)
    # One row in how many could differ unseen, at 95% confidence: 0.025 ** (1 / 400).
    assert -found.low == found.high == pytest.approx(1 - 0.025 ** (1 / ROWS))


def test_a_few_rows_that_all_differ_are_no_sure_gain() -> None:
    for rows, sure in ((5, False), (8, True)):
        right, wrong = np.ones(rows, dtype=bool), np.zeros(rows, dtype=bool)
        (found,) = compare(scorer(right), scorer(wrong), {"accuracy": (0, 1)}, rows, 200, 0.95)
        assert (found.gain, found.high, found.same) == (1, 1, False)
        assert (found.low > 0) == sure


def test_a_smaller_loss_is_a_gain() -> None:
    everything = np.ones(ROWS, dtype=bool)
    (found,) = compare(
        scorer(everything, 0.9), scorer(everything, 0.7), {"log_loss": (0, np.inf)}, ROWS, 200, 0.95
    )
    assert found.challenger < found.champion
    assert 0 < found.low <= found.gain <= found.high


def test_the_same_rows_give_the_same_interval() -> None:
    one, other = scorer(flipped(HARD, 1, 2, 3)), scorer(HARD)
    first, again = (compare(one, other, {"accuracy": (0, 1)}, ROWS, 200, 0.95) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("ours", "theirs"), [(12, 3), (3, 12), (1, 0), (30, 29)])
def test_mcnemar_is_the_sign_test_of_the_rows_that_differ(ours: int, theirs: int) -> None:
    challenger = np.array([True] * ours + [False] * theirs + [True] * 50 + [False] * 20)
    champion = np.array([False] * ours + [True] * theirs + [True] * 50 + [False] * 20)
    expected = binomtest(ours, ours + theirs).pvalue
    assert mcnemar(challenger, champion) == pytest.approx(expected)


def test_mcnemar_of_the_same_answers_is_one() -> None:
    assert mcnemar(HARD, HARD) == 1


def test_a_slice_counts_only_the_rows_that_the_metric_is_about() -> None:
    answered, unanswerable = AnswerScorer("en", True), AnswerScorer("en", True)
    for made in (answered, unanswerable):
        golds = [["blue"]] * 3 + [[]] * 50
        said = {"answer": ["blue"] * 53, "answered": [True] * 53, "score": [0.9] * 53}
        made.update({"answer_texts": golds}, said)
    every = np.ones(53, dtype=bool)
    bounds = Slices(min_rows=10)
    found = slice_of(answered, unanswerable, "has_answer_f1", "all", every, bounds)
    assert (found.rows, found.judged, found.failed) == (3, False, False)
    alone = slice_of(answered, unanswerable, "has_answer_f1", "none", ~(every.cumsum() < 4), bounds)
    assert (alone.rows, alone.judged, alone.failed) == (0, False, False)
    assert slice_of(answered, unanswerable, "f1", "all", every, bounds).judged
