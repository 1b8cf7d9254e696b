from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contract.rules.similarity import NearDuplicates, near_duplicates

BASE = (
    "The parcel was handed to a neighbour on Tuesday although I had asked the shop twice to leave "
    "it behind the green door of the garage, so now nobody knows where my new lamp is."
)
UNRELATED = [
    "A gloomy but clever thriller that keeps its best secret until the very last scene.",
    "Shares of the airline fell by four per cent after the pilots had voted for a strike.",
    "How many bridges were built across the river before the end of the last century?",
    "Please send me a copy of the invoice, because the tax office wants to see it again.",
]


def found(texts: list[str], threshold: float = 0.8) -> NearDuplicates:
    return near_duplicates(texts, threshold)


def pieces(text: str) -> set[tuple[str, ...]]:
    """Words and pairs of words of a plain English text."""
    words = re.findall(r"\w+", text.lower())
    if len(words) < 5:
        return {("", *words)} if words else set()
    return {(word,) for word in words} | set(pairwise(words))


def brute_force(texts: list[str], threshold: float) -> list[tuple[int, int, float]]:
    sets = [pieces(text) for text in texts]
    alike = [
        (i, j, len(sets[i] & sets[j]) / (len(sets[i] | sets[j]) or 1))
        for i, j in combinations(range(len(texts)), 2)
        if texts[i].strip() != texts[j].strip()
    ]
    return [pair for pair in alike if pair[2] >= threshold]


@pytest.mark.parametrize(
    "variant",
    [
        BASE.replace("Tuesday", "Friday"),
        BASE.replace("green ", ""),
        BASE.upper(),
        BASE.replace(",", " --").replace(".", "!!"),
        BASE.replace(" ", "  \n"),
        "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in BASE),
        BASE + " It is a pity.",
        "Hello! " + BASE,
    ],
    ids=["word", "gap", "case", "punctuation", "space", "width", "appended", "prepended"],
)
def test_a_text_that_was_changed_a_little_is_found(variant: str) -> None:
    texts = [UNRELATED[0], BASE, *UNRELATED[1:], variant]
    assert [pair[:2] for pair in found(texts).pairs] == [(1, 5)]


def test_texts_that_say_other_things_are_left_alone() -> None:
    assert found([BASE, *UNRELATED], threshold=0.3) == NearDuplicates([], 5)


def test_the_same_words_in_another_order_are_another_text() -> None:
    assert found(["Is she older than he is?", "He is older than she is."]).pairs == []


def test_the_similarity_is_that_of_words_and_neighbours_and_the_threshold_is_exact() -> None:
    # Of ten words nine are common, and of nine neighbours seven: 16 of 11 + 11.
    texts = ["a b c d e f g h i j", "A b c d X f g h i j."]
    assert found(texts, threshold=16 / 22).pairs == [(0, 1, 16 / 22)]
    assert found(texts, threshold=16 / 22 + 1e-9).pairs == []


def test_where_a_script_has_no_spaces_characters_are_words() -> None:
    # Of nine characters eight are common, and of eight neighbours six: 14 of 10 + 10.
    texts = ["我昨天买了一双红鞋", "我昨天买了一双黑鞋。", "他们明年要搬到北京去"]
    assert found(texts, threshold=0.7).pairs == [(0, 1, 0.7)]
    assert found(texts, threshold=0.71).pairs == []


def test_a_few_words_are_like_nothing_but_the_same_words() -> None:
    texts = ["Thank you.", "thank you!", "Thank you all", "Thank you, thank you very much indeed"]
    assert found(texts, threshold=0.1).pairs == [(0, 1, 1.0)]


def test_texts_without_a_word_are_like_nothing() -> None:
    assert found(["", "!!!", "???", "😀", "...", BASE]).pairs == []


def test_equal_texts_are_left_to_another_rule() -> None:
    assert found([BASE, BASE, f" {BASE}\n"]) == NearDuplicates([], 1)


def test_every_copy_stands_beside_a_near_duplicate() -> None:
    other = BASE.replace("Tuesday", "Friday")
    texts = [BASE, UNRELATED[0], other, BASE + "\n", other]
    assert [pair[:2] for pair in found(texts).pairs] == [(0, 2), (0, 4), (2, 3), (3, 4)]


def varied(rows: int, seed: int) -> list[str]:
    """Texts in small families: words of a text are replaced, dropped or added."""
    choose = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(400)]
    texts: list[str] = []
    while len(texts) < rows:
        words = choose.choices(vocabulary, k=choose.randint(3, 30))
        for _ in range(choose.randint(1, 5)):
            texts.append(" ".join(words))
            place = choose.randrange(len(words))
            words[place : place + choose.randint(0, 1)] = choose.choices(vocabulary, k=1)
    choose.shuffle(texts)
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_what_is_found_is_what_comparing_all_pairs_finds(threshold: float) -> None:
    texts = varied(400, seed=1)
    expected = brute_force(texts, threshold)
    assert found(texts, threshold).pairs == expected
    assert len(expected) > 20 or threshold == 1.0


def test_the_order_of_the_rows_does_not_matter() -> None:
    texts = varied(300, seed=2)
    order = random.Random(3).sample(range(len(texts)), len(texts))
    shuffled = found([texts[position] for position in order], 0.6)
    original = found(texts, 0.6)
    assert shuffled.looked_at == original.looked_at == len(set(texts))
    assert original.pairs
    assert original.pairs == sorted(
        (*sorted((order[i], order[j])), alike) for i, j, alike in shuffled.pairs
    )


def test_copies_of_a_text_count_once() -> None:
    texts = varied(300, seed=4)
    once = found(texts, 0.6)
    twice = found([*texts, *texts], 0.6)
    assert once.looked_at == twice.looked_at == len(set(texts))
    rows = len(texts)
    assert {tuple(sorted((i % rows, j % rows))) for i, j, _ in twice.pairs} >= {
        pair[:2] for pair in once.pairs
    }
    assert len(twice.pairs) == 4 * len(once.pairs)


def test_in_a_crowd_every_text_is_found_without_every_pair() -> None:
    texts = [f"{BASE} Order number {row}." for row in range(1000)]
    pairs = found(texts).pairs
    assert set(Counter(row for pair in pairs for row in pair[:2])) == set(range(1000))
    assert len(pairs) < 100 * len(texts)


def test_of_a_very_long_text_the_beginning_is_read() -> None:
    book = " ".join(f"w{number}" for number in range(10_000))
    assert found([f"{book} the end", f"{book} of the first volume"]).pairs == [(0, 1, 1.0)]


@settings(max_examples=50)
@given(
    st.lists(st.text(st.characters(), max_size=60) | st.sampled_from(UNRELATED), max_size=12),
    st.sampled_from([0.01, 0.5, 0.8, 1.0]),
)
def test_no_text_raises_and_every_pair_is_in_order(texts: list[str], threshold: float) -> None:
    near = found(texts, threshold)
    assert near.looked_at <= len(texts)
    assert near.pairs == sorted(set(near.pairs))
    for i, j, alike in near.pairs:
        assert i < j
        assert texts[i].strip() != texts[j].strip()
        assert threshold <= alike <= 1
