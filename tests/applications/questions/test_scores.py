from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.applications.questions.scores import (
    AnswerScorer,
    answer_tokens,
    best_threshold,
    f1_histogram,
    score_answer,
)

# The arithmetic of the official SQuAD 2.0 script, written down once more.


def reference_normal(text: str) -> str:
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def reference_f1(gold: str, found: str) -> float:
    golds, founds = reference_normal(gold).split(), reference_normal(found).split()
    same = sum((Counter(golds) & Counter(founds)).values())
    if not golds or not founds:
        return float(golds == founds)
    if same == 0:
        return 0.0
    precision, recall = same / len(founds), same / len(golds)
    return 2 * precision * recall / (precision + recall)


def answered(scorer: AnswerScorer, rows: list[tuple[list[str], str, float]]) -> AnswerScorer:
    """Take in answers with their scores; an empty one is an unknown one."""
    scorer.update(
        {"answer_texts": [np.array(golds, dtype=object) for golds, _, _ in rows]},
        {
            "answer": [answer for _, answer, _ in rows],
            "answered": [bool(answer) for _, answer, _ in rows],
            "score": [score for _, _, score in rows],
        },
    )
    return scorer


@pytest.mark.parametrize(
    ("golds", "answer", "exact", "f1"),
    [
        (["Saint Bernadette Soubirous"], "saint bernadette soubirous", 100, 100),
        (["Saint Bernadette Soubirous"], "Bernadette Soubirous", 0, 80),
        (["the Main Building"], "Main Building.", 100, 100),
        (["a copper statue of Christ"], "copper statue", 0, 200 / 3),
        (["308", "308 points"], "just 308 points", 0, 80),
        (["24"], "twenty-four", 0, 0),
        (["1980s"], "1980s...", 100, 100),
        (["New York New York"], "New York", 0, 200 / 3),
        (["New York"], "New York New York", 0, 200 / 3),
        (["U.S."], "US", 100, 100),
        (["half-time"], "half time", 0, 0),
        (["naïve café"], "Naïve  café", 100, 100),
        (["the"], "", 100, 100),
        ([], "", 100, 100),
        ([], "anything", 0, 0),
        (["Oslo"], "", 0, 0),
        (["a b c d"], "b x", 0, 40),
    ],
)
def test_single_answers_score_as_the_official_script_says(
    golds: list[str], answer: str, exact: float, f1: float
) -> None:
    found = answered(AnswerScorer("en", True), [(golds, answer, 0.5)]).metrics()
    assert found["exact_match"] == pytest.approx(exact, abs=0.01)
    assert found["f1"] == pytest.approx(f1, abs=0.01)


def test_metrics_of_a_mixed_file_are_the_official_ones() -> None:
    rows = [
        (["Denver Broncos", "The Denver Broncos"], "the Broncos", 0.9),  # F1 2/3
        (["Denver Broncos"], "Denver Broncos", 0.8),
        (["1998"], "", 0.7),
        ([], "", 0.6),
        ([], "1998", 0.5),
    ]
    assert answered(AnswerScorer("en", True), rows).metrics() == pytest.approx(
        {
            "f1": 100 * (2 / 3 + 1 + 0 + 1 + 0) / 5,
            "exact_match": 40.0,
            "has_answer_f1": 100 * (2 / 3 + 1) / 3,
            "has_answer_exact": 100 / 3,
            "no_answer_accuracy": 50.0,
            "rows": 5.0,
        }
    )


WORDS = st.lists(
    st.sampled_from(["a", "The", "an", "Oslo", "oslo.", "in", "-", "1,980", "naïve", "“x”", "那"]),
    max_size=5,
).map(" ".join)


@given(golds=st.lists(WORDS.filter(reference_normal), min_size=1, max_size=3), answer=WORDS)
def test_english_is_the_official_arithmetic(golds: list[str], answer: str) -> None:
    exact, f1, _ = score_answer(golds, answer, "en")
    assert exact == max(float(reference_normal(g) == reference_normal(answer)) for g in golds)
    assert f1 == pytest.approx(max(reference_f1(g, answer) for g in golds))


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("zh", "位于上海，2024年开业！", [*list("位于上海"), "2024", *list("年开业")]),
        ("zh_CN", "iPhone手机 ", ["iphone", "手", "机"]),
        ("ja", "カフェは「東京」に", list("カフェは東京に")),
        ("th", "เก้าโมง", list("เก้าโมง")),
        ("en", "The café’s 2 a.m. rush", ["café’s", "2", "am", "rush"]),
        ("de", "Der Hund, das Haus", ["hund", "haus"]),
        ("es", "¿los años?", ["años"]),
        ("ru", "«Магазин» a", ["магазин", "a"]),
        ("ko", "서울, 한국", ["서울", "한국"]),
    ],
)
def test_tokens_fit_the_language(language: str, text: str, tokens: list[str]) -> None:
    assert answer_tokens(text, language) == tokens


def test_chinese_answers_share_characters() -> None:
    scorer = answered(AnswerScorer("zh", False), [(["上海市浦东"], "在上海市", 0.5)])
    assert scorer.metrics()["f1"] == pytest.approx(100 * 2 * 3 / (5 + 4), abs=0.01)
    assert scorer.signatures() == {"f1": "MLQA, characters, language zh"}


# Windows.


def windows(
    scorer: AnswerScorer,
    spans: list[tuple[int, list[str], str, tuple[float, int, int] | None, float]],
) -> AnswerScorer:
    """Take in the best span of windows: row, gold answers, text, (score, start, end), null."""
    for row, golds, answer, span, null in spans:
        rank = None if span is None else (-span[0], span[1], span[2])
        predictions = {"row": [row], "answer": [answer], "rank": [rank], "null": [null]}
        scorer.update({"answer_texts": [golds]}, predictions)
    return scorer


SPANS: list[Any] = [
    (7, ["Oslo"], "in", (3.0, 0, 2), 1.0),
    (7, ["Oslo"], "Oslo", (4.0, 3, 7), 9.0),
    (7, ["Oslo"], "", None, 8.0),
    (3, ["Bergen"], "Bergen", (2.0, 0, 6), 0.0),
    (5, [], "", None, 1.0),
]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_the_best_span_of_a_row_counts_in_any_order(order: list[int]) -> None:
    scorer = windows(AnswerScorer("en", False), [SPANS[at] for at in order])
    found = scorer.metrics()
    assert (found["rows"], found["exact_match"]) == (3.0, 100.0)
    assert scorer.learned() == {}


def test_spans_of_equal_score_are_taken_from_left_to_right() -> None:
    spans: list[Any] = [(0, ["b"], "b", (1.0, 5, 6), 0.0), (0, ["b"], "a", (1.0, 2, 3), 0.0)]
    for order in (spans, spans[::-1]):
        assert windows(AnswerScorer("en", False), order).metrics()["f1"] == 0.0


def one_span_each(leads: list[float], f1: list[float | None]) -> AnswerScorer:
    """Rows whose null score leads by so much, with an F1 of 0 or 1; None is unanswerable."""
    spans: list[Any] = [
        (row, [] if value is None else ["x"], "x" if value else "y", (0.0, 0, 1), lead)
        for row, (lead, value) in enumerate(zip(leads, f1, strict=True))
    ]
    return windows(AnswerScorer("en", True), spans)


def test_the_threshold_gives_the_highest_f1() -> None:
    scorer = one_span_each([-3, -2, -1, 0, 1, 2], [1, 1, None, 1, 1, None])
    assert scorer.learned() == {"null_threshold": 1.5}
    assert scorer.metrics()["f1"] == pytest.approx(100 * 5 / 6)
    assert scorer.metrics()["no_answer_accuracy"] == 50.0


def test_it_may_be_best_to_answer_nothing_or_everything() -> None:
    nothing = one_span_each([1.0, 2.0], [None, None])
    assert nothing.learned()["null_threshold"] < 1.0
    assert nothing.metrics()["f1"] == 100.0
    everything = one_span_each([1.0, 2.0], [1, 1])
    assert everything.learned()["null_threshold"] > 2.0
    assert everything.metrics()["f1"] == 100.0


@settings(max_examples=80)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-5, 5).map(float),
            st.sampled_from([0.0, 0.5, 1.0, None]),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_no_threshold_is_better(rows: list[tuple[float, float | None]]) -> None:
    lead = np.array([lead for lead, _ in rows])
    gain = np.array([-1.0 if value is None else value for _, value in rows])
    found = gain[lead <= best_threshold(lead, gain)].sum()
    assert found == max(gain[lead <= cut].sum() for cut in [-9.0, *lead])


def test_rows_without_any_span_do_not_disturb_the_threshold() -> None:
    assert windows(AnswerScorer("en", True), [SPANS[4]]).learned() == {"null_threshold": 0.0}
    assert windows(AnswerScorer("en", True), SPANS).metrics()["no_answer_accuracy"] == 100.0


# What the report shows.


def report() -> AnswerScorer:
    return answered(
        AnswerScorer("en", True),
        [
            (["Oslo"], "Oslo", 0.9),
            (["Oslo"], "in Oslo", 0.95),
            (["Oslo"], "Bergen", 0.5),
            ([], "Bergen", 0.7),
            ([], "", 0.8),
        ],
    )


def test_details_tell_rows_with_and_without_an_answer_apart() -> None:
    found = {row["rows"]: row for row in report().details({})}
    assert list(found) == ["all", "answerable", "unanswerable"]
    assert [row["support"] for row in found.values()] == [5, 3, 2]
    assert [row["answered"] for row in found.values()] == [4, 3, 1]
    assert found["answerable"]["f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    plain = answered(AnswerScorer("en", False), [(["Oslo"], "Oslo", 0.9)])
    assert [row["rows"] for row in plain.details({})] == ["all"]
    assert set(plain.metrics()) == {"f1", "exact_match", "rows"}


def test_mistakes_are_the_most_confident_ones_by_position() -> None:
    found = report().mistakes(2)
    assert [(row["position"], row["score"]) for row in found] == [(1, 0.95), (3, 0.7)]
    assert not any(isinstance(value, str) for row in found for value in row.values())
    spans = windows(AnswerScorer("en", True), SPANS)
    assert spans.mistakes(9) == []


def test_intervals_hold_their_metric() -> None:
    scorer = report()
    metrics = scorer.metrics()
    for name in ("f1", "exact_match", "has_answer_f1", "no_answer_accuracy"):
        low, high = scorer.interval(name, 500, 0.95)
        assert low <= metrics[name] <= high
        assert (low, high) == scorer.interval(name, 500, 0.95)
    sure = answered(AnswerScorer("en", False), [(["x"], "x", 0.5)] * 9)
    assert sure.interval("f1", 200, 0.9) == (100.0, 100.0)


def test_the_histogram_counts_every_row() -> None:
    (axes,) = report().figures()["answer_f1"].axes
    assert sum(patch.get_height() for patch in axes.patches) == 5
    (axes,) = f1_histogram(np.array([100.0]), np.array([True])).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["with an answer"]
