from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contract.statistics.label_quality import LabelQuality, examine, examine_sets

TEMPLATES = {
    "delivery": (
        "My {thing} was meant to arrive on {day}, where is the parcel?",
        "The courier left the {thing} with a neighbour on {day}.",
        "Can the parcel with the {thing} come on {day} instead?",
        "Tracking says the {thing} has been in the depot since {day}.",
    ),
    "product": (
        "Does the {thing} come in green, and will it be back by {day}?",
        "How heavy is the {thing}? I want to hang it up on {day}.",
        "Which battery does the {thing} take? The shop closes on {day}.",
    ),
    "account": (
        "I changed my password on {day} and the login still fails, {thing} in the basket.",
        "Please put a new mail address on my account before {day}, I ordered a {thing}.",
        "Since {day} my login shows somebody else's {thing} and their password hint.",
    ),
}
THINGS = ("lamp", "kettle", "mirror", "scooter", "clock", "heater", "printer", "speaker")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
CHINESE = {
    "物流": (
        "{thing}的包裹{day}还没有送到",
        "快递员{day}把{thing}放在门口了",
        "{thing}什么时候发货，{day}能到吗",
    ),
    "账户": (
        "{day}改了密码以后登录不了，{thing}还在购物车",
        "请在{day}之前换掉我账户的邮箱，我买了{thing}",
    ),
}
CHINESE_THINGS = (
    "台灯",
    "水壶",
    "镜子",
    "滑板车",
    "闹钟",
    "打印机",
    "音箱",
    "风扇",
    "地毯",
    "书架",
)
CHINESE_DAYS = ("周一", "周二", "周三", "周四", "周五")

Rows = tuple[list[str], list[str]]


def corpus(
    templates: dict[str, tuple[str, ...]] = TEMPLATES,
    things: Sequence[str] = THINGS,
    days: Sequence[str] = DAYS,
) -> Rows:
    """Every template with every word; 480 rows of three labels in English."""
    rows = [
        (template.format(thing=thing, day=day), label)
        for label, several in templates.items()
        for template, thing, day in product(several, things, days)
    ]
    return [text for text, _ in rows], [label for _, label in rows]


def planted(labels: Sequence[str], share: float, seed: int = 1) -> tuple[list[str], set[int]]:
    """The labels with a share of them replaced by another one, and the places of those."""
    names = sorted(set(labels))
    source = random.Random(seed)
    places = source.sample(range(len(labels)), round(share * len(labels)))
    wrong = list(labels)
    for place in places:
        wrong[place] = source.choice([name for name in names if name != labels[place]])
    return wrong, set(places)


def positions(found: LabelQuality) -> list[int]:
    return [suspect.position for suspect in found.suspects]


def assert_found(found: LabelQuality, places: set[int]) -> None:
    """No right label is suspected, and at most three in ten wrong ones stay hidden."""
    assert set(positions(found)) <= places
    assert len(found.suspects) >= 0.7 * len(places)


def coin_tosses(rows: int) -> Rows:
    """Distinct sentences that say nothing about their labels."""
    source = random.Random(3)
    words = [*THINGS, *DAYS, "green", "old", "small", "heavy", "cheap", "late", "broken", "new"]
    texts = [" ".join(source.sample(words, 9)) for _ in range(rows)]
    return texts, [source.choice(["heads", "tails"]) for _ in range(rows)]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_the_suspects_are_planted_errors_and_the_right_label_is_suggested(share: float) -> None:
    texts, labels = corpus()
    wrong, places = planted(labels, share)
    found = examine(texts, wrong, language="en")
    assert_found(found, places)
    for suspect in found.suspects:
        assert suspect.given == wrong[suspect.position]
        assert suspect.suggested == labels[suspect.position]


def test_the_share_of_wrong_labels_and_the_accuracy_are_those_that_were_planted() -> None:
    texts, labels = corpus()
    wrong, places = planted(labels, 0.1)
    found = examine(texts, wrong, language="en")
    assert found.looked_at == len(texts)
    assert found.estimated_share == pytest.approx(len(places) / len(texts), abs=0.02)
    assert found.accuracy == pytest.approx(1 - len(places) / len(texts), abs=0.02)


def test_the_worst_comes_first() -> None:
    texts, labels = corpus()
    scores = [s.score for s in examine(texts, planted(labels, 0.1)[0], language="en").suspects]
    assert len(scores) > 10
    assert scores == sorted(scores)
    assert 0 <= scores[0] <= scores[-1] <= 0.25, "another label is three times as probable"


def test_right_labels_are_not_suspected() -> None:
    found = examine(*corpus(), language="en")
    assert found.suspects == []
    assert (found.accuracy, found.estimated_share) == (1, 0)


def test_rare_labels_are_not_suspected_for_being_rare() -> None:
    texts, labels = corpus()
    few = [n for n, label in enumerate(labels) if label != "account"]
    few += [n for n, label in enumerate(labels) if label == "account"][::12]
    found = examine([texts[n] for n in few], [labels[n] for n in few], language="en")
    assert found.suspects == []
    assert found.accuracy > 0.95


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("budget", [200, 1000])
def test_the_order_of_the_rows_does_not_matter(seed: int, budget: int) -> None:
    texts, labels = corpus()
    wrong, _ = planted(labels, 0.1)
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    plain = examine(texts, wrong, language="en", budget=budget)
    other = examine(
        [texts[n] for n in order], [wrong[n] for n in order], language="en", budget=budget
    )
    assert len(plain.suspects) > 5
    assert {(order[s.position], s.score) for s in other.suspects} == {
        (s.position, s.score) for s in plain.suspects
    }
    assert other.estimated_share == plain.estimated_share


def test_the_seed_decides_and_nothing_else() -> None:
    texts, labels = corpus()
    wrong, _ = planted(labels, 0.1)
    first = examine(texts, wrong, language="en", seed=1)
    assert first == examine(texts, wrong, language="en", seed=1)
    assert first != examine(texts, wrong, language="en", seed=2)


def test_a_copy_does_not_tell_its_label() -> None:
    texts, labels = coin_tosses(150)
    copies = [*texts, *(text.upper() for text in texts), *(f" {text}\n" for text in texts)]
    assert examine(copies, labels * 3, language="en").accuracy < 0.6


def test_labels_that_are_tossed_are_not_suspected() -> None:
    found = examine(*coin_tosses(300), language="en")
    assert found.looked_at == 300
    assert (found.suspects, found.estimated_share) == ([], 0)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_copies_of_a_wrong_row_are_suspects_together(share: float) -> None:
    texts, labels = corpus()
    wrong, _ = planted(labels, share)
    copies = [*texts, *(text.upper() for text in texts), *(f" {text}\n" for text in texts)]
    found = positions(examine(copies, wrong * 3, language="en"))
    copied = {place % len(texts) for place in found}
    assert len(copied) > 5
    assert len(found) == 3 * len(copied)


def test_of_the_labels_of_a_text_that_has_two_the_odd_one_is_the_suspect() -> None:
    texts, labels = corpus()
    found = examine([*texts, texts[0]], [*labels, "account"], language="en")
    assert labels[0] == "delivery"
    assert positions(found) == [len(texts)]


@pytest.mark.parametrize(("copies", "left_out"), [(4, True), (5, False)])
def test_a_label_of_fewer_texts_than_folds_is_left_out(copies: int, left_out: bool) -> None:
    texts, labels = corpus()
    rare = [f"The voucher with number {number} is refused" for number in range(copies)]
    found = examine(texts + rare, labels + ["voucher"] * copies, language="en", folds=5)
    assert found.looked_at == len(texts) + (0 if left_out else copies)


def test_copies_of_a_rare_text_do_not_make_it_frequent() -> None:
    texts, labels = corpus()
    found = examine([*texts, *["A voucher"] * 20], [*labels, *["voucher"] * 20], language="en")
    assert found.looked_at == len(texts)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ([], []),
        (["a lamp"], ["product"]),
        ([f"lamp {n}" for n in range(50)], ["product"] * 50),
        ([f"lamp {n}" for n in range(8)], ["product", "delivery"] * 4),
        (["lamp"] * 50, ["product", "delivery"] * 25),
    ],
    ids=["no rows", "one row", "one label", "few rows", "one text"],
)
def test_where_nothing_can_be_learned_nothing_is_found(texts: list[str], labels: list[str]) -> None:
    nothing = LabelQuality([], 0.0, 0, 0.0)
    assert examine(texts, labels, language="en") == nothing
    assert examine_sets(texts, [[label] for label in labels], language="en").suspects == []


@pytest.mark.parametrize("seed", range(8))
def test_the_budget_is_kept_and_each_label_gets_its_share(seed: int) -> None:
    texts, labels = corpus()
    rare = [f"The voucher with number {number} is refused" for number in range(48)]
    # 48 of 528 rows are 5 of 55: just enough for 5 folds, and a sample at large may have fewer.
    found = examine(
        texts + rare, labels + ["voucher"] * 48, language="en", folds=5, budget=55, seed=seed
    )
    assert found.looked_at == 55


def test_positions_are_those_of_the_whole_table_after_sampling() -> None:
    texts, labels = corpus()
    wrong, places = planted(labels, 0.05)
    found = examine(texts, wrong, language="en", budget=300)
    assert found.looked_at == 300
    assert len(found.suspects) > 5
    assert set(positions(found)) <= places


@pytest.mark.parametrize("language", ["zh", "en"])
def test_chinese_works_whatever_the_language_is_said_to_be(language: str) -> None:
    texts, labels = corpus(CHINESE, CHINESE_THINGS, CHINESE_DAYS)
    wrong, places = planted(labels, 0.05)
    found = examine(texts, wrong, language=language)
    assert_found(found, places)
    assert all(suspect.suggested == labels[suspect.position] for suspect in found.suspects)


def test_a_long_text_is_judged_by_its_beginning() -> None:
    texts, labels = corpus()
    wrong, places = planted(labels, 0.05)
    misleading = " ".join(texts)
    found = examine([f"{text:<1000}{misleading}" for text in texts], wrong, language="en")
    assert_found(found, places)


UNICODE = st.text(st.characters(), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(UNICODE, st.sampled_from(["", " ", "\0", "a", "A", "lamp", "\ud800", "😀"])),
            st.one_of(st.sampled_from(["", "a", "a\0", "b"]), UNICODE),
        ),
        max_size=40,
    ),
    language=st.sampled_from(["en", "zh"]),
    folds=st.integers(2, 4),
    budget=st.integers(0, 50),
)
def test_any_texts_can_be_examined(
    rows: list[tuple[str, str]], language: str, folds: int, budget: int
) -> None:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    found = examine(texts, labels, language=language, folds=folds, budget=budget)
    assert found.looked_at <= min(budget, len(rows))
    assert 0 <= found.estimated_share <= 1
    assert 0 <= found.accuracy <= 1
    assert len(set(positions(found))) == len(found.suspects) <= found.looked_at
    for suspect in found.suspects:
        assert suspect.given == labels[suspect.position] != suspect.suggested
        assert suspect.suggested in labels
        assert 0 <= suspect.score <= 0.25
    sets = [label.split("a") for label in labels]
    several = examine_sets(texts, sets, language=language, folds=folds, budget=budget)
    assert several.looked_at <= min(budget, len(rows))


def two_subjects() -> tuple[list[str], list[list[str]]]:
    """Half of the texts are about one subject, half about two."""
    texts, labels = corpus()
    source = random.Random(5)
    others = source.sample(range(len(texts)), len(texts))
    rows = [
        (f"{text} {texts[other]}", [label, labels[other]]) if n % 2 else (text, [label])
        for n, (text, label, other) in enumerate(zip(texts, labels, others, strict=True))
    ]
    return [text for text, _ in rows], [sorted(set(held)) for _, held in rows]


def test_in_sets_a_label_too_much_and_a_missing_one_are_found() -> None:
    texts, sets = two_subjects()
    extra = [n for n, held in enumerate(sets) if held == ["product"]][::10]
    missing = [n for n, held in enumerate(sets) if held == ["account", "delivery"]][::10]
    for row in extra:
        sets[row] = ["account", "product"]
    for row in missing:
        sets[row] = ["delivery"]
    found = examine_sets(texts, sets, language="en")
    changes = {(s.position, s.given, s.suggested) for s in found.suspects}
    expected = {(row, "account", "") for row in extra} | {(row, "", "account") for row in missing}
    assert changes <= expected
    assert len(changes) >= 0.5 * len(expected)
    assert {given for _, given, _ in changes} == {"account", ""}
    assert found.looked_at == len(texts)
    assert found.accuracy > 0.95


def test_a_set_may_be_empty_and_in_any_order() -> None:
    texts, sets = two_subjects()
    texts = [*texts, *(f"Thank you so much, have a nice {day}!" for day in DAYS)]
    held: list[list[str]] = [*sets, *([] for _ in DAYS)]
    found = examine_sets(texts, held, language="en")
    assert found.looked_at == len(texts)
    assert found == examine_sets(texts, [labels[::-1] for labels in held], language="en")
