"""Two versions of a model side by side: settings, data, metrics, slices, and single examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import pandas as pd

from configs.errors import UserError
from configs.language import _
from flows.tracking.versions import Evaluation, Pair, both, different
from tasks.tracking import lineage, registry, runs
from tasks.tracking.client import reach
from tasks.tracking.registry import Reference
from tasks.tracking.runs import flatten
from tasks.workspace import Workspace

MOST_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences between two versions; in each pair the value of the first comes first.

    Attributes:
        config: settings that differ.
        data: counts and digests that differ.
        headlines: the primary metric of each.
        slices: the primary metric by slice; empty if the versions have different ones.
        examples: test rows that got better or worse; None if the versions share none, or score
            answers by different metrics.
    """

    versions: tuple[str, str]
    config: dict[str, Pair]
    data: dict[str, Pair]
    metrics: dict[str, Pair]
    headlines: Pair
    slices: dict[str, Pair]
    examples: Examples | None

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Examples:
    """Test rows that both versions have, and the largest losses and gains of the second.

    Attributes:
        rows: all test rows of each.
        better: shared rows that the second answers better.
        worse: shared rows that it answers worse.
    """

    shared: int
    rows: tuple[int, int]
    better: int
    worse: int
    worst: list[dict[str, Any]]
    best: list[dict[str, Any]]


def references(first: str, second: str, third: str = "") -> tuple[Reference, Reference]:
    """The two versions that are meant by ``NAME 1 2``, ``NAME@ALIAS OTHER/2`` or ``NAME/1 2``.

    Raises:
        UserError: a version of ``NAME`` is not a number.
    """
    name = Reference.parse(first).name
    if third:
        first, second = f"{name}/{second}", f"{name}/{third}"
    elif second.isdigit():
        second = f"{name}/{second}"
    found = Reference.parse(first), Reference.parse(second)
    for one in found:
        if one.version is not None and not one.version.isdigit():
            advice = _("give NAME 1 2, or two of NAME, NAME@ALIAS and NAME/VERSION")
            raise UserError.at(one.uri, _("expected the number of a version"), advice)
    return found


def compare(workspace: Workspace, first: Reference, second: Reference) -> Difference:
    """Compare two versions, of one model or of two.

    Raises:
        ModelError: no such version, or one that onestep did not make.
    """
    client = reach(workspace)
    versions = [registry.look_up(client, reference) for reference in (first, second)]
    one, two = (lineage.of(client, workspace, version) for version in versions)
    seen = [Evaluation(client, workspace, known) for known in (one, two)]
    headlines = (seen[0].primary_metric, seen[1].primary_metric)
    same = headlines[0] == headlines[1]
    metrics = both(*(registry.metrics_of(client, version) for version in versions))
    bounds = {f"{name}{end}" for name in headlines for end in ("_low", "_high")}
    return Difference(
        (runs.uri_of(versions[0]), runs.uri_of(versions[1])),
        different(flatten(one.record["config"]), flatten(two.record["config"])),
        different(seen[0].data(), seen[1].data()),
        {name: pair for name, pair in metrics.items() if name not in bounds},
        headlines,
        both(*(version.slices() for version in seen)) if same else {},
        examples(*(version.outcomes() for version in seen), same=same),
    )


def examples(one: pd.DataFrame, two: pd.DataFrame, *, same: bool) -> Examples | None:
    """Compare the outcomes of two versions on the test rows that they share.

    ``same`` tells whether both are scored by one metric; without it only right and wrong answers
    can be compared.
    """
    if not same and not all(outcomes["merit"].isin([0, 1]).all() for outcomes in (one, two)):
        return None
    before = one[["input", "merit"]].drop_duplicates("input")
    both = two.merge(before, on="input", suffixes=("", "_before"))
    both = both.dropna(subset=["merit", "merit_before"])
    if both.empty:
        return None
    change = both["merit"] - both["merit_before"]
    both = both.assign(change=change).sort_values(["change", "file", "row"])
    return Examples(
        len(both),
        (len(one), len(two)),
        int((change > 0).sum()),
        int((change < 0).sum()),
        list(_places(both[both["change"] < 0].head(MOST_EXAMPLES))),
        list(_places(both[both["change"] > 0].iloc[::-1].head(MOST_EXAMPLES))),
    )


def _places(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in rows.to_dict("records"):
        before, after = float(row["merit_before"]), float(row["merit"])
        place = {"file": row["file"], "row": int(row["row"])}
        if "line" in row and not isnan(row["line"] or nan):
            place["line"] = int(row["line"])
        if row.get("id"):
            place["id"] = row["id"]
        yield place | {"before": before, "after": after}
