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


def text_column() -> Column:
    """Text that is not null and not only white space."""
    return Column(
        object,
        [Check(_is_text, name="expected text"), Check(_is_not_blank, name="the text is empty")],
        nullable=False,
    )


def label_column(declared: Iterable[str] | None) -> Column:
    """A label, one of the declared ones if any are."""
    checks = []
    if declared is not None:
        allowed = frozenset(declared)
        checks.append(Check(lambda values: values.isin(allowed), name="the label is not declared"))
    return Column(object, checks, nullable=False)
