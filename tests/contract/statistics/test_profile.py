from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.contract.statistics import profile
from tasks.contract.statistics.buckets import BUCKETS, LONGEST
from tasks.contract.statistics.profile import Profile, Profiler, spread
from tasks.text.retrieval import tokens

SECRET = "xylophone-7431"
SCRIPTS = st.text(alphabet="abAZ09_ é ß İ ﬁ ÷.,\t\n\0\u0301中文的字ไทยかй😀", max_size=40)
TEXTS = st.lists(st.none() | SCRIPTS | st.text(max_size=20), max_size=30)


def profiled(texts: Sequence[str | None], labels: Mapping[str, int] | None = None) -> Profile:
    profiler = Profiler(["text"])
    profiler.update({"text": pa.array(texts, pa.string())}, labels)
    return profiler.finish()


def buckets(*texts: str) -> set[int]:
    """The buckets that have a word of these texts."""
    counts = profiled(texts).vocabulary["text"].counts
    return {bucket for bucket, count in enumerate(counts) if count}


def test_rows_labels_and_lengths_are_counted() -> None:
    found = profiled(["", "ab", "cd", "x" * 1000, None], {"b": 3, "a": 2})
    assert found.rows == 5
    assert found.labels == {"a": 2, "b": 3}
    lengths = found.lengths["text"]
    starts = [0, *profile.EDGES.tolist()]
    by_start = {starts[place]: count for place, count in enumerate(lengths.counts) if count}
    # Bins begin at powers of 2**(1/8): 1000 characters are at or above 2**(79/8).
    assert by_start == {0: 1, 2: 2, round(2 ** (79 / 8)): 1}
    logs = [math.log(1 + size) for size in (0, 2, 2, 1000)]
    mean = sum(logs) / 4
    assert lengths.mean == pytest.approx(mean, abs=2e-4)
    assert lengths.std == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in logs) / 4), abs=2e-4)


@pytest.mark.parametrize("size", [2**20, 2**20 + 1, 3_000_000])
def test_the_last_bin_has_no_end(size: int) -> None:
    assert profiled(["x" * size]).lengths["text"].counts[-1] == 1


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, seed=st.randoms(use_true_random=False), cuts=st.sets(st.integers(1, 29)))
def test_neither_chunks_nor_the_order_of_rows_matter(
    texts: list[str | None], seed: random.Random, cuts: set[int]
) -> None:
    shuffled = seed.sample(texts, len(texts))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(texts)), len(texts)]
    profiler = Profiler(["text"])
    for start, stop in pairwise(bounds):
        chunk = pa.array(shuffled[start:stop], pa.string())
        profiler.update({"text": chunk}, {"a": stop - start})
    assert profiler.finish() == profiled(texts, {"a": len(texts)})


def test_chunks_do_not_matter_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"parcel {n} of order {n % 37} 包裹{n % 11}" for n in range(3000)]
    whole = profiled(texts)
    monkeypatch.setattr("tasks.contract.statistics.buckets.SPAN", 500)
    assert profiled(texts) == whole


@settings(max_examples=150, deadline=None)
@given(text=SCRIPTS | st.text(max_size=40))
@example("中文字 word 字word中 字")
@example("İSTANBUL Straße ﬁn a\0b")
def test_words_are_those_that_retrieval_finds(text: str) -> None:
    assert buckets(text) == set().union(*(buckets(word) for word in tokens(text)))


def test_a_text_counts_once_for_a_word() -> None:
    bursts = profiled(["spam " * 50, "Spam, SPAM!"]).vocabulary["text"]
    assert sorted(bursts.counts)[-2:] == [0, 2]
    assert bursts.texts == 2


def test_words_fall_into_all_buckets_evenly() -> None:
    words = [f"w{n}" for n in range(BUCKETS)]
    # Of as many buckets as words, a share of 1/e stays empty; four standard deviations are 0.04.
    assert len(buckets(*words)) / BUCKETS == pytest.approx(1 - 1 / math.e, abs=0.04)


def test_the_order_of_letters_matters() -> None:
    assert len(buckets("listen", "silent", "enlist", "tinsel")) == 4


@pytest.mark.parametrize("word", ["parcel", "a", "中文", "字", "й1_"])
def test_the_hash_is_the_same_everywhere(word: str) -> None:
    base, mixer, modulus = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 2**64
    total = 0
    for place, sign in enumerate(word):
        total += ord(sign) * pow(base, 2**20 - 1 - len(word) + place, modulus)
    for _ in range(2):
        total = (total % modulus ^ total % modulus >> 32) * mixer
    assert buckets(word) == {total % modulus >> 54}


def test_columns_are_kept_apart() -> None:
    profiler = Profiler(["source", "target"])
    profiler.update({"source": pa.array(["one two"]), "target": pa.array(["eins"])})
    found = profiler.finish()
    assert found.rows == 1
    assert sum(found.vocabulary["source"].counts) == 2
    assert sum(found.vocabulary["target"].counts) == 1


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_every_arrow_type_of_text_gives_the_same(kind: Any) -> None:
    texts = ["one two", None, "", "three 四五"]
    for array in (pa.array(texts).cast(kind), pa.chunked_array([texts[:1], texts[1:]], kind)):
        profiler = Profiler(["text"])
        profiler.update({"text": array})
        assert profiler.finish() == profiled(texts)


def test_a_slice_is_only_its_rows() -> None:
    profiler = Profiler(["text"])
    profiler.update({"text": pa.array(["no", "one two", "no"]).slice(1, 1)})
    assert profiler.finish() == profiled(["one two"])


@pytest.mark.parametrize("texts", [[], [None, None]])
def test_without_text_all_is_zero(texts: list[str | None]) -> None:
    found = profiled(texts)
    assert found.rows == len(texts)
    assert found.labels is None
    assert not any(found.lengths["text"].counts + found.vocabulary["text"].counts)
    assert (found.lengths["text"].mean, found.lengths["text"].std) == (0, 0)


def test_no_rows_at_all_are_a_profile() -> None:
    assert Profiler(["text"]).finish() == profiled([])


def test_a_column_of_nothing_is_read() -> None:
    profiler = Profiler(["text"])
    profiler.update({"text": pa.nulls(3)})
    assert profiler.finish() == profiled([None, None, None])


def test_only_the_beginning_of_a_long_text_gives_words() -> None:
    start = "a " * (LONGEST // 2)
    assert buckets(f"{start} zebra") == buckets("a")
    assert profiled([f"{start} zebra"]).lengths["text"].mean == pytest.approx(
        math.log(LONGEST + 7), abs=2e-4
    )


def test_texts_that_grow_when_their_case_is_folded_are_read() -> None:
    assert buckets(*["ΐ" * 2 * LONGEST] * 3) == buckets("ΐ" * LONGEST)


def test_equal_texts_are_one_draw() -> None:
    words = [f"word{n}" for n in range(4000)]
    once, often = profiled(words), profiled(words * 5)
    # The words of 4,000 independent texts of one word are 4,000 draws, give or take the error of an
    # estimate from 32 groups in 1,000 cells, sqrt(2 / 31 / 1000).
    assert once.vocabulary["text"].draws == pytest.approx(4000, rel=0.05)
    assert often.vocabulary["text"].draws == pytest.approx(once.vocabulary["text"].draws, rel=0.05)
    assert often.lengths["text"].draws < 8000 < sum(often.lengths["text"].counts)


def test_spread_of_independent_draws_is_their_number() -> None:
    generator = np.random.default_rng(0)
    groups = generator.multinomial(2000, generator.dirichlet(np.ones(200)), size=32)
    draws, freedom = spread(groups)
    assert draws == pytest.approx(64_000, rel=0.1)
    assert freedom == pytest.approx(199, rel=0.2)
    assert spread(groups * 3)[0] == pytest.approx(draws)


def test_spread_sees_that_words_come_together() -> None:
    generator = np.random.default_rng(0)
    topics = generator.dirichlet(np.ones(4), size=32)
    groups = np.rint(topics.repeat(25, axis=1) * 1000).astype(np.int64)
    draws, freedom = spread(groups)
    # Twenty-five words of a topic always come together: three shares vary, and not a hundred.
    assert freedom < 6
    assert draws < groups.sum() / 100


@pytest.mark.parametrize(
    ("groups", "draws"),
    [([[0, 0]], 0), ([[5, 3]], 1), ([[5, 3], [3, 5]], 1), ([[5], [3], [2]], 10)],
)
def test_too_few_groups_tell_nothing(groups: list[list[int]], draws: int) -> None:
    assert spread(np.array(groups)) == (draws, 1)


def test_a_profile_survives_json() -> None:
    found = profiled(["one two", "three 四五", ""], {"é": 3})
    record = json.loads(json.dumps(found.to_dict()))
    assert record == found.to_dict()
    assert Profile.from_dict(record) == found


@pytest.mark.parametrize("record", [{}, {"schema": 2}, {"schema": "1"}])
def test_a_profile_of_another_schema_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a profile of schema 1, found"):
        Profile.from_dict(record)


def test_a_profile_has_no_text_and_is_small() -> None:
    texts = [f"{SECRET} {n} " + " ".join(f"word{n * k}" for k in range(30)) for n in range(2000)]
    written = json.dumps(profiled(texts, {"a": 2000}).to_dict())
    assert all(part not in written for part in (*SECRET.split("-"), "word1"))
    assert len(written) < 10_000
