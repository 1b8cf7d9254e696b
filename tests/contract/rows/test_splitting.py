from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from configs.schema import Pipeline
from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rows.splitting import assign
from tasks.contract.sources.splits import SPLITS
from tests.support.catalogues import catalogue


def table(rows: int, groups: Any = None, classes: int = 2, **columns: Any) -> Catalogue:
    """Different training rows whose labels and groups take turns; ``groups`` counts or lists."""
    found: dict[str, Any] = {
        "splits": ["train"] * rows,
        "texts": [f"text {n}" for n in range(rows)],
        "labels": [f"c{n % classes}" for n in range(rows)],
    }
    if isinstance(groups, int):
        found["groups"] = [f"g{n % groups}" for n in range(rows)]
    elif groups is not None:
        found["groups"] = groups
    return catalogue(**(found | columns))


def assigned(
    rows: Catalogue, seed: int = 1, kept: Sequence[bool] | None = None, **data: Any
) -> list[str]:
    """The split of each row."""
    section = {"train": "a.csv", **data}
    record = {"name": "parcels", "application": "topics", "data": section}
    config = Pipeline.model_validate(record | {"seed": seed})
    mask = np.ones(len(rows), dtype=bool) if kept is None else np.array(kept)
    return [SPLITS[split] for split in assign(rows, mask, config)]


def test_fractions_are_those_of_all_rows() -> None:
    counts = Counter(assigned(table(200), validation=0.1, test=0.25))
    assert counts == {"train": 130, "validation": 20, "test": 50}


def test_every_split_has_the_share_of_each_label() -> None:
    labels = ["rare" if n % 10 == 0 else "common" for n in range(200)]
    parts = assigned(table(200, labels=labels), validation=0.2, test=0.2)
    rare = Counter(part for part, label in zip(parts, labels, strict=True) if label == "rare")
    assert rare == {"train": 12, "validation": 4, "test": 4}


def test_the_seed_decides_and_nothing_else() -> None:
    assert assigned(table(100), 1) == assigned(table(100), 1)
    assert assigned(table(100), 1) != assigned(table(100), 2)


@pytest.mark.parametrize("groups", [None, 25])
def test_the_order_of_the_rows_does_not_decide(groups: int | None) -> None:
    rows = table(100, groups)
    data = {"group_column": "customer"} if groups else {}
    moved = np.random.default_rng(0).permutation(100)
    columns = [rows.split, rows.file, rows.row, rows.content, rows.duplicates, rows.leakage]
    group = rows.group[moved] if groups else rows.group
    other = Catalogue(*(c[moved] for c in columns), group, rows.target[moved], rows.values)
    before = assigned(rows, **data)
    assert assigned(other, **data) == [before[row] for row in moved]


def test_the_input_is_left_alone() -> None:
    rows = table(100)
    assigned(rows)
    assert not rows.split.any()


def test_rows_that_have_left_are_not_counted() -> None:
    kept = [row % 4 < 2 for row in range(100)]
    parts = assigned(table(100), kept=kept, validation=0.2, test="test.csv")
    assert Counter(parts) == {"train": 90, "validation": 10}
    assert all(there for there, part in zip(kept, parts, strict=True) if part == "validation")


def test_declared_splits_stay_as_they_are() -> None:
    splits = ["test" if n % 10 == 0 else "train" for n in range(100)]
    parts = assigned(table(100, splits=splits), validation=0.2, test="test.csv")
    moved = [part for part, split in zip(parts, splits, strict=True) if split == "train"]
    assert Counter(moved) == {"train": 72, "validation": 18}
    assert [part for part, split in zip(parts, splits, strict=True) if split == "test"] == [
        "test"
    ] * 10


def test_without_fractions_nothing_moves() -> None:
    assert assigned(table(10), validation="v.csv", test="t.csv") == ["train"] * 10


@pytest.mark.parametrize("labels", [None, [("a", "b"), ("a",)] * 50, [True, False] * 50])
def test_without_one_label_a_row_the_fractions_hold(labels: list[Any] | None) -> None:
    counts = Counter(assigned(table(100, labels=labels), validation=0.1, test=0.1))
    assert counts == {"train": 80, "validation": 10, "test": 10}


@settings(max_examples=30)
@given(
    kinds=st.integers(20, 60),
    share=st.sampled_from([0.1, 0.2, 0.3]),
    strata=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_with_one_text_come_to_one_split(
    kinds: int, share: float, strata: bool, seed: int
) -> None:
    sources = [f"source {n % kinds}" for n in range(240)]
    labels = ["ab"[n % kinds % 2] for n in range(240)] if strata else None
    rows = table(240, labels=labels, across=sources)
    parts = assigned(rows, seed, validation=share, test=0.2)
    homes = {(source, part) for source, part in zip(sources, parts, strict=True)}
    assert len(homes) == kinds
    assert set(parts) == set(SPLITS)


@pytest.mark.parametrize("seed", range(5))
def test_rows_with_one_text_and_several_labels_come_to_one_split(seed: int) -> None:
    texts = [f"text {n % 21}" for n in range(240)]
    rows = table(240, texts=texts)
    parts = assigned(rows, seed, validation=0.2, test=0.2)
    assert len(set(zip(texts, parts, strict=True))) == 21


def test_most_rows_stay_in_their_split_when_rows_are_added() -> None:
    before = assigned(table(400), validation=0.1, test=0.1)
    after = assigned(table(440), validation=0.1, test=0.1)[:400]
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved < 40


@settings(max_examples=30)
@given(
    groups=st.integers(10, 40),
    share=st.sampled_from([0.1, 0.2, 0.3, 0.6]),
    strata=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_group_is_never_in_two_splits(groups: int, share: float, strata: bool, seed: int) -> None:
    rows = table(240, groups) if strata else table(240, groups, labels=None)
    parts = assigned(rows, seed, validation=share, test=0.2, group_column="customer")
    homes = set(zip(rows.group.tolist(), parts, strict=True))
    assert len(homes) == groups
    assert set(parts) == set(SPLITS)


def test_a_row_without_a_group_is_one_by_its_text() -> None:
    groups = [None if n % 5 < 2 else f"g{n % 40}" for n in range(400)]
    texts = [f"text {n % 200}" for n in range(400)]
    rows = table(400, texts=texts, groups=groups)
    parts = assigned(rows, validation=0.1, test=0.1, group_column="customer")
    homes = {(g or t, part) for g, t, part in zip(groups, texts, parts, strict=True)}
    assert len(homes) == len({g or t for g, t in zip(groups, texts, strict=True)})
    alone = Counter(part for part, group in zip(parts, groups, strict=True) if group is None)
    assert all(0.05 < alone[split] / 160 < 0.25 for split in SPLITS[1:])


SIZES = st.lists(st.integers(1, 4), min_size=250, max_size=300)


@settings(max_examples=25)
@given(sizes=SIZES, more=SIZES, share=st.sampled_from([0.1, 0.2, 0.3]), seed=st.integers(0, 99))
def test_a_group_stays_where_it_was_when_rows_and_groups_are_added(
    sizes: list[int], more: list[int], share: float, seed: int
) -> None:
    groups = [f"g{n}" for n, size in enumerate(sizes) for _ in range(size)]
    added = [f"g{n * 2}" for n, size in enumerate(more) for _ in range(size)]
    data = {"group_column": "customer", "validation": share, "test": share}
    few, many = (table(len(some), groups=some, labels=None) for some in (groups, [*groups, *added]))
    before, after = assigned(few, seed, **data), assigned(many, seed, **data)
    moved = {g for g, b, a in zip(groups, before, after, strict=False) if b != a}
    within = {0.6 < before.count(s) / len(groups) / share < 1.4 for s in SPLITS[1:]}
    within |= {0.6 < after.count(s) / many.row.size / share < 1.4 for s in SPLITS[1:]}
    assert len(moved) <= (0 if within == {True} else 10)


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=40, max_size=80),
    share=st.sampled_from([0.1, 0.2, 0.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_of_groups_are_near_the_declared_shares(
    sizes: list[int], share: float, seed: int
) -> None:
    groups = [n for n, size in enumerate(sizes) for _ in range(size)]
    rows = table(len(groups), groups=groups)
    parts = assigned(rows, seed, validation=share, test=0.2, group_column="customer")
    for split, wanted in (("validation", share), ("test", 0.2)):
        rest = max(sizes) / len(groups)
        assert 0.5 * wanted - rest <= parts.count(split) / len(groups) <= 1.5 * wanted


def test_one_fraction_does_not_move_the_groups_of_the_other() -> None:
    rows = table(600, groups=200)
    one, other = (
        assigned(rows, validation=share, test=0.1, group_column="customer") for share in (0.1, 0.3)
    )
    tested = [{n for n, part in enumerate(parts) if part == "test"} for parts in (one, other)]
    assert tested[0] == tested[1]


@pytest.mark.parametrize(
    ("rows", "data"),
    [
        (table(4), {"validation": 0.1}),
        (table(3, classes=3), {"validation": 0.5}),
        (table(100, groups=1), {"validation": 0.6, "group_column": "customer"}),
        (table(100, groups=2), {"validation": 0.1, "group_column": "customer"}),
        (table(0), {"validation": 0.1}),
        (table(0, groups=1), {"validation": 0.1, "group_column": "customer"}),
        (table(1, labels=None), {"validation": 0.1}),
    ],
    ids=[
        "few rows",
        "one row a class",
        "one group",
        "few groups",
        "no rows",
        "no rows of groups",
        "one row",
    ],
)
def test_too_little_to_split_is_refused(rows: Catalogue, data: dict[str, Any]) -> None:
    message = rf"data\.validation: cannot set aside {data['validation']:g} of {len(rows)} rows"
    with pytest.raises(DataError, match=message):
        assigned(rows, **data, test="test.csv")
