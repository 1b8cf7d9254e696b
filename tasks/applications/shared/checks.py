"""Pandera columns that several applications use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pandera.pandas import Check, Column

if TYPE_CHECKING:
    import pandas as pd


def _is_text(values: pd.Series[Any]) -> pd.Series[bool]:
    return values.map(lambda value: isinstance(value, str))


def _is_not_blank(values: pd.Series[Any]) -> pd.Series[bool]:
    return values.map(lambda value: not isinstance(value, str) or bool(value.strip()))


def text_column(*, required: bool = True) -> Column:
    """Text that is not null and not only white space."""
    return Column(
        object,
        [Check(_is_text, name="expected text"), Check(_is_not_blank, name="the text is empty")],
        nullable=False,
        required=required,
    )


def label_column(declared: Iterable[str] | None) -> Column:
    """A label, one of the declared ones if any are."""
    checks = []
    if declared is not None:
        allowed = frozenset(declared)
        checks.append(Check(lambda values: values.isin(allowed), name="the label is not declared"))
    return Column(object, checks, nullable=False)


def label_set_column(declared: Iterable[str] | None) -> Column:
    """A list of labels, all of them declared if any are; it may be empty."""
    checks = [Check(_is_label_set, name="expected a list of labels")]
    if declared is not None:
        checks.append(Check(_Within(declared), name="a label is not declared"))
    return Column(object, checks, nullable=False)


def _are_labels(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _is_label_set(values: pd.Series[Any]) -> pd.Series[bool]:
    return values.map(_are_labels)


class _Within:
    """Whether each list has declared labels only; what is no list fails another check."""

    def __init__(self, declared: Iterable[str]) -> None:
        self.allowed = frozenset(declared)

    def __call__(self, values: pd.Series[Any]) -> pd.Series[bool]:
        return values.map(lambda value: not _are_labels(value) or self.allowed.issuperset(value))
