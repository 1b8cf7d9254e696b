"""The report of the contract as a record, and the page that is drawn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from configs.errors import Problem
from configs.files import write_atomic
from configs.language import english
from configs.schema import Pipeline
from tasks.applications.base import Facts
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.arrow import MappedTable
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.rows.quarantine import QuarantineSummary
from tasks.contract.rules import cells
from tasks.contract.rules.findings import Findings
from tasks.contract.sources.splits import SPLITS
from tasks.contract.statistics import label_quality as quality
from tasks.contract.statistics.label_quality import LabelQuality
from tasks.contract.statistics.profile import EDGES, Profile
from tasks.store import lock, write_json

FINENESS: Final = 2
"""Bins of a profile per bin of a plot."""
MOST_SUSPECTS: Final = 100
"""Most suspects in the report."""
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of a report."""

    html: Path
    json: Path


def paths(root: Path, name: str) -> Paths:
    """The report's files in a workspace."""
    return Paths(root / "reports" / f"{name}.html", root / "reports" / f"{name}.json")


def publish(root: Path, report: Report) -> Paths:
    """Write the record, and draw the page."""
    from tasks.contract.report.page import render

    found = paths(root, report["pipeline"])
    dated = {"created": datetime.now(UTC).isoformat(timespec="seconds")} | report
    page = render(dated)
    # Two runs of one pipeline publish the same files.
    with lock(root / "locks" / f"report-{report['pipeline']}.lock"):
        write_json(found.json, dated)
        write_atomic(found.html, page)
    return found


def describe(
    config: Pipeline,
    checked: CrossRowResult,
    quarantine: QuarantineSummary,
    problems: Sequence[Problem],
    profiles: Mapping[str, Profile],
) -> Report:
    """The record of a data set; the data is refused if there are problems."""
    first = checked.first
    return {
        "application": config.application,
        "verdict": english("refused") if problems else english("passed"),
        "refusals": [str(problem) for problem in problems],
        "files": [Path(name).name for name in first.layout.files],
        "rows": {
            "in": first.total,
            "kept": int(checked.kept.sum()),
            "quarantined": quarantine.rows,
            "dropped": len(checked.dropped),
            "superseded": len(checked.superseded),
            "empty": first.empty,
            "outside": checked.outside,
            "repaired": first.changed["repaired"],
            "redacted": first.changed["redacted"],
        },
        "splits": _splits(checked),
        "rules": _rules(config, checked.findings),
        "distributions": _distributions(profiles),
    }


def _splits(checked: CrossRowResult) -> list[dict[str, Any]]:
    """Rows by the split that they were declared in, or that they came to."""
    read, kept = checked.rows_read(), checked.rows_kept()
    left_out = {
        "dropped": checked.rows_dropped(),
        "superseded": checked.rows_superseded(),
        "empty": checked.first.empty_by_split,
        "outside": dict.fromkeys(SPLITS, 0) | {"train": checked.outside},
    }
    return [
        {
            "split": split,
            "in": read[split],
            "kept": kept[split],
            "quarantined": read[split]
            - kept[split]
            - sum(counts[split] for counts in left_out.values()),
            **{name: counts[split] for name, counts in left_out.items()},
        }
        for split in SPLITS
    ]


def _rules(config: Pipeline, findings: Findings) -> list[dict[str, Any]]:
    """Every rule that ran, with its findings."""
    return [
        {
            "name": rule,
            "group": "privacy" if rule.startswith("privacy.") else cells.group(rule),
            "severity": cells.severity(rule, config.contract),
            "found": findings.found[rule],
            "looked_at": looked_at,
            "documentation": cells.documentation(rule, type(config.contract.rules)),
            "examples": [
                {**example.place._asdict(), "reason": example.reason}
                | ({"text": example.text} if example.text else {})
                for example in findings.examples[rule]
            ],
        }
        for rule, looked_at in findings.looked_at.items()
    ]


def _distributions(profiles: Mapping[str, Profile]) -> list[dict[str, Any]]:
    """Labels and lengths of the splits."""
    plots = []
    labels = {split: profile.labels for split, profile in profiles.items() if profile.labels}
    if labels:
        series = [
            {"name": split, "bins": [{"label": k, "count": n} for k, n in counts.items()]}
            for split, counts in labels.items()
        ]
        plots.append({"title": english("Labels"), "kind": "bars", "series": series})
    columns = next(iter(profiles.values())).lengths if profiles else {}
    for column in columns:
        counts = {split: profile.lengths[column].counts for split, profile in profiles.items()}
        title = english("Characters of {column}", column=column)
        plots.append({"title": title, "kind": "histogram", "series": _histogram(counts)})
    return plots


def _histogram(counts: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """The bins between the shortest and the longest text of any split."""
    total = np.sum([list(values) for values in counts.values()], axis=0)
    filled = np.flatnonzero(total)
    if not len(filled):
        return [{"name": split, "bins": []} for split in counts]
    low, high = int(filled[0]), int(filled[-1])
    bounds = [0, *EDGES.tolist(), None]
    width = max(FINENESS, -(-(high - low + 1) // 24))
    starts = range(low, high + 1, width)
    return [
        {
            "name": split,
            "bins": [
                {
                    "from": bounds[start],
                    "to": bounds[min(start + width, len(bounds) - 1)],
                    "count": sum(values[start : start + width]),
                }
                for start in starts
            ],
        }
        for split, values in counts.items()
    ]


def label_quality(
    folder: Path, config: Pipeline, facts: Facts, files: Sequence[str]
) -> dict[str, Any]:
    """The part of the report about labels of training rows; empty for rows without labels."""
    if not isinstance(facts, ClassificationFacts):
        return {}
    rows = MappedTable(folder / "train.arrow")
    names = facts.labels
    texts = _texts(rows, facts.inputs)
    options: dict[str, Any] = {
        "language": config.language.source,
        "budget": config.contract.sample_size,
        "seed": config.seed,
    }
    if facts.labelling == "multiple":
        held = rows.column("labels").to_pylist()
        sets = [[names[n] for n, has in enumerate(row) if has] for row in held]
        found = quality.examine_sets(texts, sets, **options)
    else:
        labels = [names[position] for position in rows.column("label").to_pylist()]
        found = quality.examine(texts, labels, **options)
    return {"label_quality": _label_quality(found, rows, files)}


def _texts(rows: MappedTable, inputs: Sequence[str]) -> list[str]:
    columns = [rows.column(name).to_pylist() for name in inputs]
    return ["\n".join(row) for row in zip(*columns, strict=True)]


def _label_quality(found: LabelQuality, rows: MappedTable, files: Sequence[str]) -> dict[str, Any]:
    places = [rows.column(name) for name in ("file", "row")]
    suspects = [
        {
            "split": "train",
            "file": Path(files[places[0][suspect.position].as_py()]).name,
            "row": places[1][suspect.position].as_py(),
            "given": suspect.given,
            "suggested": suspect.suggested,
            "score": suspect.score,
        }
        for suspect in found.suspects[:MOST_SUSPECTS]
    ]
    return {
        "suspects": suspects,
        "found": len(found.suspects),
        "estimated_share": found.estimated_share,
        "looked_at": found.looked_at,
        "accuracy": found.accuracy,
    }
