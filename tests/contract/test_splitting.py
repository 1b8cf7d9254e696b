from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Data
from tasks.contract.splitting import split
from tasks.errors import DataError


def table(rows: int, groups: int | None = None, classes: int = 2) -> pd.DataFrame:
    frame = pd.DataFrame({"split": "train", "label": [f"c{n % classes}" for n in range(rows)]})
    if groups:
        frame["group"] = [f"g{n % groups}" for n in range(rows)]
    return frame.astype(object)


def assigned(
    frame: pd.DataFrame, seed: int = 1, strata: bool = True, **data: Any
) -> pd.Series[Any]:
    section = Data.model_validate({"train": "a.csv", **data})
    return split(frame, section, frame["label"] if strata else None, seed)


def test_fractions_are_those_of_all_rows() -> None:
    counts = assigned(table(200), validation=0.1, test=0.25).value_counts()
    assert counts.to_dict() == {"train": 130, "validation": 20, "test": 50}


def test_every_split_has_the_share_of_each_label() -> None:
    frame = table(200).assign(label=["rare" if n % 10 == 0 else "common" for n in range(200)])
    parts = assigned(frame, validation=0.2, test=0.2)
    rare = frame.loc[frame["label"] == "rare"].groupby(parts).size()
    assert rare.to_dict() == {"train": 12, "validation": 4, "test": 4}


def test_the_seed_decides_and_nothing_else() -> None:
    frame = table(100)
    assert assigned(frame, seed=1).equals(assigned(frame.copy(), seed=1))
    assert not assigned(frame, seed=1).equals(assigned(frame, seed=2))


def test_the_input_is_left_alone() -> None:
    frame = table(100)
    assigned(frame)
    assert set(frame["split"]) == {"train"}


def test_declared_splits_stay_as_they_are() -> None:
    frame = table(100)
    frame.loc[frame.index[::10], "split"] = "test"
    parts = assigned(frame, validation=0.2, test="test.csv")
    assert parts[frame["split"] == "test"].eq("test").all()
    assert parts[frame["split"] == "train"].value_counts().to_dict() == {
        "train": 72,
        "validation": 18,
    }


def test_without_fractions_nothing_moves() -> None:
    frame = table(10)
    assert assigned(frame, validation="v.csv", test="t.csv").equals(frame["split"])


def test_without_strata_the_fractions_hold() -> None:
    counts = assigned(table(100), strata=False, validation=0.1, test=0.1).value_counts()
    assert counts.to_dict() == {"train": 80, "validation": 10, "test": 10}


@settings(max_examples=30)
@given(
    groups=st.integers(10, 40),
    share=st.sampled_from([0.1, 0.2, 0.3, 0.6]),
    strata=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_group_is_never_in_two_splits(groups: int, share: float, strata: bool, seed: int) -> None:
    frame = table(240, groups)
    parts = assigned(frame, seed, strata, validation=share, test=0.2, group="customer")
    assert parts.groupby(frame["group"]).nunique().eq(1).all()
    assert set(parts) == {"train", "validation", "test"}


def test_groups_need_no_order_and_rows_without_one_stay_together() -> None:
    frame = table(120, 24)
    frame.loc[frame.index[::24], "group"] = None
    frame.loc[frame.index[1::24], "group"] = 7
    parts = assigned(frame, validation=0.2, test=0.2, group="customer")
    assert parts.groupby(frame["group"].map(repr)).nunique().eq(1).all()
    assert len(set(parts)) == 3


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (table(4), {"validation": 0.1}),
        (table(3, classes=3), {"validation": 0.5}),
        (table(100, groups=1), {"validation": 0.6, "group": "customer"}),
        (table(100, groups=2), {"validation": 0.1, "group": "customer"}),
        (table(0), {"validation": 0.1}),
    ],
    ids=["few rows", "one row a class", "one group", "few groups", "no rows"],
)
def test_too_little_to_split_is_refused(frame: pd.DataFrame, data: dict[str, Any]) -> None:
    message = rf"data\.validation: cannot set aside {data['validation']:g} of {len(frame)} rows"
    with pytest.raises(DataError, match=message):
        assigned(frame, **data, test="test.csv")
