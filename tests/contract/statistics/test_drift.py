from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.contract import Drift
from tasks.contract.statistics import drift
from tasks.contract.statistics.drift import Measure
from tasks.contract.statistics.profile import Profile, Profiler

SETTINGS = Drift()
WORDS = [f"word{n:03}" for n in range(600)]


def profile(texts: Sequence[str], labels: Sequence[str]) -> Profile:
    profiler = Profiler(["text"])
    profiler.update({"text": pa.array(texts, pa.large_string())}, Counter(labels))
    return profiler.finish()


def rows(count: int, seed: int, *, share: float = 0.5, words: int = 12, first: int = 0) -> Profile:
    """Texts of random words, a share of them positive."""
    rng = random.Random(seed)
    vocabulary = WORDS[first:] + WORDS[:first]
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]
    texts = [
        " ".join(rng.choices(vocabulary, weights, k=max(1, round(rng.gauss(words, 3)))))
        for _ in range(count)
    ]
    return profile(texts, ["yes" if rng.random() < share else "no" for _ in texts])


def measured(now: Profile, before: Profile, **changes: float) -> dict[str, Measure]:
    found = drift.compare(now, before, SETTINGS.model_copy(update=changes))
    return {measure.name: measure for measure in found}


def drifted(now: Profile, before: Profile) -> set[str]:
    return {name for name, measure in measured(now, before).items() if measure.drifted}


def test_every_part_is_measured() -> None:
    names = set(measured(rows(300, 1), rows(300, 2)))
    assert names == {"labels", "characters of text", "vocabulary of text"}


@pytest.mark.parametrize("sizes", [(200, 5000), (5000, 200), (3000, 3000), (50, 60)])
def test_rows_of_the_same_kind_do_not_drift(sizes: tuple[int, int]) -> None:
    assert drifted(rows(sizes[0], 3), rows(sizes[1], 4)) == set()


def test_other_labels_drift() -> None:
    now, before = rows(2000, 5, share=0.7), rows(2000, 6)
    assert drifted(now, before) == {"labels"}
    found = measured(now, before)["labels"]
    assert found.low < found.value
    # w of (0.7, 0.3) and (0.5, 0.5) over their mean.
    assert found.value == pytest.approx(0.408, abs=0.04)
    assert "most of all" in found.note


def test_a_label_that_is_new_drifts() -> None:
    before = profile(["some text"] * 100, ["a", "b"] * 50)
    now = profile(["some text"] * 100, ["a", "c"] * 50)
    assert "labels" in drifted(now, before)


def test_longer_texts_drift() -> None:
    found = measured(rows(1000, 7, words=24), rows(1000, 8))
    assert found["characters of text"].drifted
    assert "typically" in found["characters of text"].note


def test_other_words_drift() -> None:
    assert drifted(rows(1500, 9, first=300), rows(1500, 10)) == {"vocabulary of text"}


def test_a_small_difference_is_no_drift_however_many_rows_show_it() -> None:
    now, before = Counter(yes=530_000, no=470_000), Counter(yes=500_000, no=500_000)
    found = drift.shares("labels", now, before, SETTINGS)
    assert not found.drifted
    # It is surely there, and surely small.
    assert 0.05 < found.low < found.value < 0.07


def test_few_rows_prove_nothing() -> None:
    found = drift.shares("labels", Counter(yes=4), Counter(yes=2, no=2), SETTINGS)
    assert not found.drifted
    assert found.low == 0


def test_no_rows_are_not_compared() -> None:
    found = drift.shares("labels", Counter(), Counter(yes=2), SETTINGS)
    assert not found.drifted
    assert "too few" in found.note


def test_the_declared_threshold_decides() -> None:
    now, before = rows(2000, 11, share=0.7), rows(2000, 12)
    assert not measured(now, before, max_effect_size=0.6)["labels"].drifted


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10_000)),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10_000)),
)
def test_whatever_the_counts_the_bound_is_below_the_estimate_of_the_sample(
    now: dict[str, int], before: dict[str, int]
) -> None:
    found = drift.shares("labels", now, before, SETTINGS)
    assert 0 <= found.low <= 2
    assert 0 <= found.value <= 2
    assert found.drifted == (found.low > SETTINGS.max_effect_size)


def test_the_sentence_names_what_drifted() -> None:
    measures = list(measured(rows(2000, 13, share=0.8), rows(2000, 14)).values())
    assert drift.sentence(measures, "models:/m/1") == "drift from models:/m/1: labels"
    assert "no drift" in drift.sentence(measures[1:], "models:/m/1")
