from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rules import repeats
from tasks.contract.rules.repeats import KEPT_FIRST, Mask
from tasks.contract.sources.splits import SPLITS
from tests.support.catalogues import catalogue

Pairs = list[tuple[int, int]]


def every(rows: Catalogue) -> Mask:
    return np.ones(len(rows), dtype=bool)


def pairs(found: tuple[Any, Any]) -> Pairs:
    return [(int(one), int(other)) for one, other in zip(*found, strict=True)]


def leaks(rows: Catalogue, kept: Mask | None = None) -> list[tuple[int, str]]:
    found = repeats.leaks(rows, every(rows) if kept is None else kept, rows.leakage)
    return [(row, KEPT_FIRST[rank]) for row, rank in pairs(found)]


def duplicates(rows: Catalogue, kept: Mask | None = None) -> Pairs:
    mask = every(rows) if kept is None else kept
    outdated = repeats.outdated(rows, mask)
    return pairs(repeats.duplicates(rows, mask, rows.duplicates, outdated))


def conflicts(rows: Catalogue, kept: Mask | None = None) -> Pairs:
    return pairs(repeats.conflicts(rows, every(rows) if kept is None else kept))


@pytest.mark.parametrize("size", [0, 1])
def test_too_few_rows_repeat_nothing(size: int) -> None:
    rows = catalogue(["train"] * size, ["x"] * size, ["a"] * size)
    assert duplicates(rows) == conflicts(rows) == leaks(rows) == []


def test_no_row_is_kept_and_none_repeats() -> None:
    rows = catalogue(["train", "train", "test"], ["x"] * 3, ["a", "b", "a"])
    nothing = ~every(rows)
    assert duplicates(rows, nothing) == conflicts(rows, nothing) == leaks(rows, nothing) == []


def test_the_first_of_the_same_rows_stays() -> None:
    rows = catalogue(["train"] * 5, ["x", "y", "x", "z", "x"], ["a"] * 5)
    assert duplicates(rows) == [(2, 0), (4, 0)]


def test_the_same_text_in_another_split_is_no_duplicate() -> None:
    assert duplicates(catalogue(["train", "test"], ["x", "x"])) == []


@pytest.mark.parametrize("labels", ["abc", "cba", "bca", "cbac", "bacc"])
def test_of_different_labels_the_one_that_was_read_last_stays(labels: str) -> None:
    rows = catalogue(["train"] * len(labels), ["x"] * len(labels), list(labels))
    (stays,) = {stays for _, stays in duplicates(rows)}
    assert stays == labels.index(labels[-1])


def test_a_row_is_superseded_by_the_last_with_its_id_and_text() -> None:
    rows = catalogue(
        ["train"] * 6 + ["test"],
        ["x", "y", "x", "x", "z", "x", "x"],
        ["a", "a", "b", "a", "a", "c", "c"],
        ids=[1, 1, 1, 2, None, 1, 1],
    )
    assert repeats.superseded(rows).tolist() == [0, 2]


def test_rows_without_an_id_supersede_nothing() -> None:
    rows = catalogue(["train"] * 2, ["x"] * 2, ["a", "b"], ids=[None, None])
    assert repeats.superseded(rows).tolist() == []


def test_a_row_that_has_left_is_nobodys_first() -> None:
    rows = catalogue(["train"] * 3, ["x"] * 3, ["a"] * 3)
    assert duplicates(rows, np.array([False, True, True])) == [(2, 1)]
    assert duplicates(rows, np.array([False, False, True])) == []


def test_all_rows_of_a_conflict_are_named() -> None:
    rows = catalogue(["train"] * 5, ["x", "y", "x", "x", "y"], ["a", "a", "b", "a", "a"])
    found = conflicts(rows)
    assert [row for row, _ in found] == [0, 2, 3]
    assert len({first for _, first in found}) == 1


def test_the_same_input_with_another_target_in_another_split_is_no_conflict() -> None:
    assert conflicts(catalogue(["train", "test"], ["x", "x"], ["a", "b"])) == []


@pytest.mark.parametrize(
    ("splits", "stays"),
    [
        (("train", "validation", "test"), "test"),
        (("test", "train"), "test"),
        (("train", "validation"), "validation"),
        (("validation", "test"), "test"),
        (("validation", "train", "validation"), "validation"),
    ],
)
def test_a_leaked_text_stays_in_test_then_in_validation(splits: Sequence[str], stays: str) -> None:
    found = leaks(catalogue(splits, ["x"] * len(splits)))
    assert found == [(row, stays) for row, split in enumerate(splits) if split != stays]


def test_a_row_that_has_left_leaks_nothing() -> None:
    rows = catalogue(["test", "train", "validation"], ["x"] * 3)
    assert leaks(rows, np.array([False, True, True])) == [(1, "validation")]


def test_what_leaks_is_a_matter_of_the_hashes() -> None:
    rows = catalogue(["train", "test"], ["x", "y"], groups=["g", "g"])
    assert leaks(rows) == []
    found = repeats.leaks(rows, every(rows), rows.group)
    assert pairs(found) == [(0, KEPT_FIRST.index("test"))]


@given(
    table=st.lists(
        st.tuples(st.sampled_from(SPLITS), st.integers(0, 5), st.integers(0, 2), st.booleans()),
        max_size=40,
    )
)
def test_repeats_are_those_that_a_dictionary_finds(
    table: list[tuple[str, int, int, bool]],
) -> None:
    splits, texts, labels, kept = zip(*table, strict=True) if table else ((), (), (), ())
    rows, mask = catalogue(splits, texts, labels), np.array(kept, dtype=bool)
    clusters: dict[tuple[str, int], list[int]] = defaultdict(list)
    homes: dict[int, set[str]] = defaultdict(set)
    for row, (split, text, _, there) in enumerate(table):
        if there:
            clusters[split, text].append(row)
            homes[text].add(split)
    stays = {
        key: next(n for n in found if labels[n] == labels[found[-1]])
        for key, found in clusters.items()
    }
    firsts = [(row, stays[table[row][:2]]) for row in np.flatnonzero(mask)]
    assert duplicates(rows, mask) == [(row, one) for row, one in firsts if row != one]
    torn = {key for key, found in clusters.items() if len({labels[n] for n in found}) > 1}
    assert conflicts(rows, mask) == [
        (row, clusters[table[row][:2]][0]) for row in np.flatnonzero(mask) if table[row][:2] in torn
    ]
    best = {text: min(found, key=KEPT_FIRST.index) for text, found in homes.items()}
    kept_rows = [(int(row), best[texts[row]]) for row in np.flatnonzero(mask)]
    assert leaks(rows, mask) == [(row, home) for row, home in kept_rows if splits[row] != home]
