"""Which registered versions can be compared by their metrics."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from flows.cli import tables
from flows.models.query import marked


def version(number: int, test_rows: str, *aliases: str, name: str = "a") -> dict[str, Any]:
    """A described version."""
    return {
        "name": name,
        "version": number,
        "uri": f"models:/{name}/{number}",
        "aliases": list(aliases),
        "test_rows": test_rows,
        "headline": "accuracy",
        "value": 0.9,
        "data": "d",
        "base_model": "starter",
        "created": 0.0,
    }


@pytest.mark.parametrize(
    ("records", "comparable"),
    [
        ([version(2, "new"), version(1, "old", "champion")], [False, True]),
        ([version(2, "same"), version(1, "same", "champion")], [True, True]),
        # Without a champion, the newest version is the reference.
        ([version(3, "new"), version(2, "new"), version(1, "old")], [True, True, False]),
        # Other models are not a reference, and unknown rows are not the same rows.
        ([version(1, "x"), version(1, "y", name="b")], [True, True]),
        ([version(2, "", "champion"), version(1, "")], [True, False]),
    ],
)
def test_metrics_of_other_test_rows_than_the_champions_are_marked(
    records: list[dict[str, Any]], comparable: list[bool]
) -> None:
    found = marked(records)
    assert [one["comparable"] for one in found] == comparable
    console = Console(width=120)
    with console.capture() as shown:
        console.print(tables.models(found, 60.0))
    text = shown.get()
    assert text.count("0.9000*") == comparable.count(False)
    assert ("* on other test rows" in text) == (not all(comparable))
