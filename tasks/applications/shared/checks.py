"""Pandera columns that several applications use.

A check's name is its rule and the reason that a row gets: ``missing: the text is empty``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pyarrow.compute as pc
from pandera.pandas import Check, Column

from configs.language import english
from tasks import arrow


def cell(rule: str, words: str, holds: Callable[[Any], bool]) -> Check:
    """A check of one value at a time; a failure breaks ``rule``."""

    def check(values: pd.Series[Any]) -> pd.Series[bool]:
        return values.map(holds)

    return Check(check, name=f"{rule}: {words}")


def text_column(*, required: bool = True) -> Column:
    """Text that is not null and has something to see."""
    checks = [
        Check(_are_texts, name="wrong_type: " + english("expected text")),
        Check(_have_content, name="missing: " + english("the text is empty")),
    ]
    return Column(None, checks, nullable=False, required=required)


def _are_texts(values: pd.Series[Any]) -> pd.Series[bool]:
    """Whether each value is text; a column in Arrow's memory holds nothing else."""
    if arrow.stored_texts(values) is None:
        return values.map(lambda value: isinstance(value, str))
    return values.notna()


def _have_content(values: pd.Series[Any]) -> pd.Series[bool]:
    """Whether no value is text of white space only."""
    blank = pc.equal(arrow.strip(arrow.texts_of(values)), "").fill_null(False)
    return pd.Series(~blank.to_numpy(), index=values.index)


def label_column(declared: Iterable[str] | None) -> Column:
    """A label, one of the declared ones if any are."""
    checks = [
        cell(
            "wrong_type",
            english("expected one label: text, a number or a truth value"),
            lambda value: isinstance(value, str),
        )
    ]
    if declared is not None:
        allowed = frozenset(declared)
        words = "unknown_label: " + english("the label is not declared")
        checks.append(Check(lambda values: values.isin(allowed), name=words))
    return Column(object, checks, nullable=False)


def label_set_column(declared: Iterable[str] | None) -> Column:
    """A list of labels, all of them declared if any are; it may be empty."""
    checks = [
        cell(
            "wrong_type",
            english("expected a list of labels, or text with the separator between them"),
            _are_labels,
        )
    ]
    if declared is not None:
        allowed = frozenset(declared)
        checks.append(
            cell(
                "unknown_label",
                english("a label is not declared"),
                # What is no list fails the other check.
                lambda value: not _are_labels(value) or allowed.issuperset(value),
            )
        )
    return Column(object, checks, nullable=False)


def _are_labels(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
