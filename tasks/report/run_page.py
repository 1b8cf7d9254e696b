"""The report of a run, as one HTML page that needs nothing but a browser.

This module computes the values and the points of curves; ``run_page.html.j2`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from configs.language import _, english
from tasks.report import page
from tasks.report.page import number

if TYPE_CHECKING:
    from jinja2 import Template

MOST_POINTS = 400
MEANS = 40
LARGEST_MATRIX = 20
LARGEST_SHADE = 40
Points = Sequence[tuple[float, float]]
Record = Mapping[str, Any]
Pair = Sequence[Any]


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        tint: the number of its colour.
        faint: whether it is only the background of another.
        path: its points as the path of an SVG of 100 by 100.
        dots: the points alone, for a curve with few of them.
        words: its first and last value.
    """

    name: str
    tint: int
    faint: bool
    path: str
    dots: str
    words: str


@dataclass(frozen=True)
class Chart:
    """Curves over the same optimizer steps.

    Attributes:
        levels: labels of the vertical axis by their height in percent.
        ticks: labels of the horizontal axis by their place in percent.
    """

    title: str
    lines: tuple[Curve, ...]
    levels: dict[float, str]
    ticks: dict[float, str]

    @property
    def description(self) -> str:
        """The curves in words."""
        return "; ".join(line.words for line in self.lines if not line.faint)


@dataclass(frozen=True)
class Series:
    """The points of a curve as steps and values, its style, and the number of its colour."""

    name: str
    tint: int
    style: Literal["faint", "line", "dots"]
    points: Points


@dataclass(frozen=True)
class Strip:
    """Positions of the primary metric, its bounds, and the champion's and the baseline's metric.

    They are on one scale of 0 to 100, whose ``ends`` are the values there.
    """

    low: float
    high: float
    value: float
    marks: dict[str, float]
    ends: tuple[float, float]


def render(record: Record) -> str:
    """Draw the report of a run: one HTML document without scripts that loads nothing.

    The record has ``pipeline``, ``verdict`` and ``metrics``, and any other value of
    :mod:`flows.run.report`. Its texts are escaped.
    """
    return _template().render(
        run=record,
        gate=record.get("gate") or {},
        metrics=list(_metrics(record)),
        changed=list(_changed(record.get("changes") or {})),
        strip=_strip(record),
        charts=list(_charts(record)),
        epochs=list(_epochs(record)),
        mistakes=record.get("mistakes") or [],
        matrix=_matrix(record.get("matrix") or {}),
    )


@cache
def _template() -> Template:
    return page.template(
        "report/run_page.html.j2",
        duration=page.duration,
        figure=page.figure,
        size=page.size,
        cell=_cell,
        energy=page.energy,
    )


def _cell(value: Any) -> str:
    """A value of a table with arbitrary columns."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or _("none")
    whole = not isinstance(value, float) or value.is_integer()
    return number(value) if whole else page.figure(value)


def _metrics(record: Record) -> Iterator[dict[str, Any]]:
    """Every metric with its interval, the champion's value, the gain, and the baseline's value."""
    baseline, primary_metric = record.get("baseline") or {}, record.get("headline")
    compared = {row["metric"]: row for row in (record.get("gate") or {}).get("metrics") or ()}
    for name, value in (record.get("metrics") or {}).items():
        if name == "rows":
            continue
        row = compared.get(name) or {}
        yield {
            "name": name,
            "value": value,
            "interval": record.get("interval") if name == primary_metric else None,
            "champion": row.get("champion"),
            "gain": row.get("gain"),
            "bounds": [row["low"], row["high"]] if _finite(row.get("low"), row.get("high")) else [],
            "baseline": baseline.get(name),
        }


def _finite(*values: Any) -> bool:
    return all(isinstance(value, int | float) and isfinite(value) for value in values)


def _changed(changes: Record) -> Iterator[dict[str, Any]]:
    """Tables of the values that differ from those of the previous run."""
    star, labels = "" if changes.get("same_test_rows") else "*", changes.get("labels")
    metrics = dict(changes.get("metrics") or {})
    metrics.pop("rows", None)
    for title, head, pairs, draw, mark in (
        (english("Settings"), english("Setting"), changes.get("config"), str, ""),
        (english("Rows"), english("Count"), changes.get("data"), number, ""),
        (english("Labels of the training rows"), english("Label"), labels, number, ""),
        (english("Test metrics"), english("Metric"), metrics, page.figure, star),
    ):
        rows = [_pair(name, pair, draw, mark) for name, pair in (pairs or {}).items()]
        if rows:
            yield {"id": f"changed-{head.lower()}", "title": title, "head": head, "rows": rows}


def _pair(name: str, pair: Pair, draw: Callable[[Any], str], mark: str) -> dict[str, str]:
    before, now = ("" if value is None else draw(value) for value in pair)
    new = _("new") if pair[0] is None else _("gone") if pair[1] is None else ""
    return {"name": name, "mark": new, "before": before and f"{before}{mark}", "now": now}


def _strip(record: Record) -> Strip | None:
    primary_metric, bounds = record.get("headline"), list(record.get("interval") or ())
    row = next((row for row in _metrics(record) if row["name"] == primary_metric), None)
    if row is None or len(bounds) != 2 or not _finite(row["value"], *bounds):
        return None
    named = {"champion": row["champion"], _trivial(record): row["baseline"]}
    compared = {name: value for name, value in named.items() if _finite(value)}
    least, most = _padded([*bounds, row["value"], *compared.values()])

    def place(value: float) -> float:
        return round(100 * (value - least) / (most - least), 2)

    marks = {name: place(value) for name, value in compared.items()}
    return Strip(place(bounds[0]), place(bounds[1]), place(row["value"]), marks, (least, most))


def _trivial(record: Record) -> str:
    return str((record.get("baseline") or {}).get("name") or english("trivial method"))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """A range a little wider than the values, and never empty."""
    least, most = min(values), max(values)
    margin = 0.08 * (most - least) or 0.5 * abs(most) or 1.0
    return least - margin, most + margin


def _charts(record: Record) -> Iterator[Chart]:
    """The loss, and the metric that chooses the weights."""
    history = record.get("history") or {}
    steps = _points((step, loss) for step, loss in history.get("steps") or ())
    checks = history.get("validation") or ()
    curves = [
        Series(_("training, each step"), 1, "faint", _means(steps, MOST_POINTS)),
        Series(_("training, averaged"), 1, "line", _means(steps, MEANS)),
        Series(_("validation"), 2, "dots", _points((c["step"], c.get("loss")) for c in checks)),
    ]
    if chart := _chart(_("Loss"), curves, least=0.0):
        yield chart
    primary_metric = record.get("headline")
    if primary_metric and primary_metric != "loss":
        points = _points((c["step"], c.get(primary_metric)) for c in checks)
        if chart := _chart(primary_metric, [Series(_("validation"), 2, "dots", points)]):
            yield chart


def _points(pairs: Any) -> Points:
    return [(float(step), float(value)) for step, value in pairs if _finite(step, value)]


def _means(points: Points, most: int) -> Points:
    """At most so many points: the means of equally many neighbours."""
    size = -(-len(points) // most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(step for step, _ in group) / len(group), sum(value for _, value in group) / len(group))
        for group in groups
    ]


def _chart(title: str, curves: Sequence[Series], least: float | None = None) -> Chart | None:
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return None
    values = [value for curve in curves for _, value in curve.points]
    last = max(step for curve in curves for step, _ in curve.points)
    bottom, top = _padded(values)
    if least is not None and min(values) >= least:
        bottom = least
    lines = tuple(_curve(curve, last, bottom, top) for curve in curves)
    levels = {float(at): number(bottom + (top - bottom) * at / 100) for at in (0, 50, 100)}
    ticks = {float(at): number(round(last * at / 100)) for at in (0, 50, 100)}
    return Chart(title, lines, levels, ticks)


def _curve(series: Series, last: float, bottom: float, top: float) -> Curve:
    drawn = [
        (round(100 * step / last, 2), round(100 * (top - value) / (top - bottom), 2))
        for step, value in series.points
    ]
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in drawn)
    dots = "".join(f"M{x:g} {y:g}h0" for x, y in drawn) if series.style == "dots" else ""
    ends = [number(series.points[at][1]) for at in (0, -1)]
    words = _("{name}: {ends[0]} at first, {ends[1]} at last", name=series.name, ends=ends)
    return Curve(series.name, series.tint, series.style == "faint", path, dots, words)


def _epochs(record: Record) -> Iterator[dict[str, Any]]:
    """A row per validation: its metrics, and the mean training loss since the one before."""
    history = record.get("history") or {}
    steps = _points((step, loss) for step, loss in history.get("steps") or ())
    checks = sorted(history.get("validation") or (), key=lambda check: check["step"])
    for before, check in pairwise([{"step": 0}, *checks]):
        since = [loss for step, loss in steps if before["step"] < step <= check["step"]]
        yield {
            "epoch": check.get("epoch"),
            "step": check["step"],
            "training": sum(since) / len(since) if since else None,
            "validation": check.get("loss"),
            "headline": check.get(record.get("headline")),
            "best": bool(check.get("improved")),
        }


def _matrix(matrix: Record) -> dict[str, Any] | None:
    """The confusion matrix with a shade for each cell, its share of the row's label."""
    labels, counts = matrix.get("labels") or [], matrix.get("counts") or []
    if not labels or len(labels) > LARGEST_MATRIX:
        return None
    rows = []
    for label, row in zip(labels, counts, strict=True):
        total = sum(row) or 1
        cells = [{"count": n, "shade": round(LARGEST_SHADE * n / total)} for n in row]
        rows.append({"label": label, "cells": cells, "total": sum(row)})
    return {"labels": labels, "rows": rows}
