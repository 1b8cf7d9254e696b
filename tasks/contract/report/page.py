"""The report of the data contract as one HTML page without external resources.

This module decides on order, shares and what is folded; ``page.html.j2`` draws it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from configs.language import _, english, translated
from tasks.contract.sources import splits
from tasks.contract.sources.splits import SPLITS
from tasks.report import page
from tasks.report.page import counted, number

if TYPE_CHECKING:
    from jinja2 import Template

SEVERITIES = ("refuse", "quarantine", "drop", "redact", "repair", "warn", "allow")
GROUPS = {
    "form": english("Form"),
    "splits": english("Splits"),
    "application": english("Application"),
    "privacy": english("Privacy"),
    "other": english("Other"),
}
MOST_BARS = 20
TINTS = 6


@dataclass(frozen=True)
class Series:
    """One split of a plot: the number of its colour, and values in each bin."""

    name: str
    tint: int
    counts: tuple[int, ...]

    @cached_property
    def total(self) -> int:
        return sum(self.counts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Share of the split in each bin, so that splits of any size compare."""
        return tuple(count / self.total if self.total else 0.0 for count in self.counts)


@dataclass(frozen=True)
class Plot:
    """One distribution, its splits over the same bins.

    Attributes:
        title: what is counted.
        kind: ``bars`` or ``histogram``.
        edges: starts of the bins of a histogram, and the end of the last one.
        series: the splits.
        folded: how many bins the last one combines; 0 if it is a single one.
    """

    title: str
    kind: str
    bins: tuple[str, ...]
    edges: tuple[str, ...]
    series: tuple[Series, ...]
    folded: int = 0

    @cached_property
    def peak(self) -> float:
        """The largest share, which has the longest bar; folded bins have none."""
        drawn = len(self.bins) - bool(self.folded)
        return max((share for one in self.series for share in one.shares[:drawn]), default=0.0)

    @cached_property
    def outline(self) -> str:
        """The first split as an SVG path of steps, one unit wide per bin and 100 high."""
        tops = [100 - self.length(share) for share in self.series[0].shares]
        steps = (f"V{top:.2f}H{place}" for place, top in enumerate(tops, start=1))
        return "M0 100" + "".join(steps) + "V100"

    @property
    def ticks(self) -> dict[float, str]:
        """Edges that are labelled, by their position in percent of the width."""
        last = len(self.bins)
        return {100 * place / last: self.edges[place] for place in (0, last // 2, last)}

    def length(self, share: float) -> float:
        """Length of the bar of a share in percent of the longest."""
        return 100 * share / self.peak if self.peak else 0.0


def render(report: Mapping[str, Any]) -> str:
    """Draw the report of a data contract.

    Args:
        report: ``pipeline``, ``verdict`` and ``rows``, and any of ``application``, ``created``,
            ``digest``, ``reading``, ``refusals``, ``splits``, ``rules``, ``distributions``,
            ``drift``, ``drift_reference`` and ``label_quality``.

    Returns:
        One HTML document without scripts and without a reference to anything outside it.
    """
    rules = report.get("rules") or []
    return _template().render(
        report=report,
        findings=sorted((rule for rule in rules if rule.get("found")), key=_rank),
        groups=_grouped(rules),
        reading=[translated(one) for one in splits.describe(report.get("reading") or [])],
        plots=[_plot(distribution) for distribution in report.get("distributions") or []],
    )


@cache
def _template() -> Template:
    return page.template("contract/report/page.html.j2", coverage=_coverage, scaled=_scaled)


def _rank(rule: Mapping[str, Any]) -> tuple[int, int]:
    severity = rule.get("severity")
    rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
    return rank, -rule["found"]


def _grouped(rules: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {group: [] for group in GROUPS}
    for rule in rules:
        groups.setdefault(rule.get("group") or "other", []).append(rule)
    return {GROUPS.get(group, group): members for group, members in groups.items() if members}


def _plot(distribution: Mapping[str, Any]) -> Plot:
    histogram = distribution.get("kind") == "histogram"
    counts = _counts(distribution, histogram)
    keys = list(dict.fromkeys(key for counter in counts.values() for key in counter))
    if histogram:
        keys.sort(key=_interval)
    shown, hidden = (keys, []) if histogram else _fold(keys, counts.values())
    names = [_range(*key) if histogram else str(key) for key in shown]
    edges = [number(key[0]) for key in keys] + [number(keys[-1][1])] if histogram and keys else []
    return Plot(
        title=distribution.get("title") or "",
        kind="histogram" if histogram else "bars",
        bins=(*names, _("{count:,} more", count=len(hidden))) if hidden else tuple(names),
        edges=tuple(edges),
        series=_series(counts, shown, hidden),
        folded=len(hidden),
    )


def _counts(distribution: Mapping[str, Any], histogram: bool) -> dict[str, Counter[Any]]:
    """Count by split, then by label or by the bounds of the bin."""
    counts: dict[str, Counter[Any]] = {}
    for series in distribution.get("series") or []:
        counter = counts.setdefault(str(series.get("name", "")), Counter())
        for place in series.get("bins") or []:
            key = (place.get("from"), place.get("to")) if histogram else place.get("label")
            counter[key] += place.get("count") or 0
    return counts


def _interval(bounds: tuple[float | None, float | None]) -> tuple[float, float]:
    start, end = bounds
    return -inf if start is None else start, inf if end is None else end


def _range(start: float | None, end: float | None) -> str:
    if start is None or end is None:
        if start is None:
            return _("below {end}", end=number(end))
        return _("{start} and more", start=number(start))
    return f"{number(start)}–{number(end)}"


def _fold(keys: list[Any], counters: Iterable[Counter[Any]]) -> tuple[list[Any], list[Any]]:
    """Divide labels into those with a bar and the rest; few labels keep their order."""
    if len(keys) <= MOST_BARS:
        return keys, []
    totals = [(counter, counter.total() or 1) for counter in counters]
    weights = {key: sum(counter[key] / total for counter, total in totals) for key in keys}
    ordered = sorted(keys, key=lambda key: -weights[key])
    return ordered[:MOST_BARS], ordered[MOST_BARS:]


def _series(
    counts: Mapping[str, Counter[Any]], shown: Iterable[Any], hidden: list[Any]
) -> tuple[Series, ...]:
    # A split has the same colour in every plot.
    others = [name for name in counts if name not in SPLITS]
    tints = {name: place % TINTS + 1 for place, name in enumerate([*SPLITS, *others])}
    rest = {name: [sum(counts[name][key] for key in hidden)] if hidden else [] for name in counts}
    return tuple(
        Series(name, tints[name], (*(counter[key] for key in shown), *rest[name]))
        for name, counter in counts.items()
    )


def _coverage(looked_at: Any, rows: Mapping[str, Any]) -> str:
    """How many rows a rule checked.

    Later rules do not check rows that earlier ones set aside, so that only a rule that checked
    fewer rows than were kept checked a sample.
    """
    total = rows.get("in") or 0
    if not isinstance(looked_at, int):
        return ""
    if looked_at == total:
        return _("all {rows}", rows=counted(total, "row")) if total else _("no rows")
    if looked_at > total:
        return counted(looked_at, "row")
    found = _("{count:,} of {rows}", count=looked_at, rows=counted(total, "row"))
    return found + (_(", a sample") if looked_at < rows.get("kept", 0) else "")


def _scaled(value: Any, threshold: float) -> float:
    """Scale a measure to 0 to 100 with its threshold at 50, clipped."""
    if not isinstance(value, int | float) or not isfinite(value):
        return 0.0
    return round(min(max(50 * value / threshold, 0.0), 100.0), 2)
