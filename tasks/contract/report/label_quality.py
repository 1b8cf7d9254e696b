"""Label quality of the training split, as the report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from configs.schema import Pipeline
from tasks.applications.base import Facts
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.arrow import MappedTable
from tasks.contract.statistics import label_quality
from tasks.contract.statistics.label_quality import LabelQuality

MOST: Final = 100
"""Most suspects in the report."""


def section(folder: Path, config: Pipeline, facts: Facts, files: Sequence[str]) -> dict[str, Any]:
    """The section about the labels of the training rows; none for rows without labels."""
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
        found = label_quality.examine_sets(texts, sets, **options)
    else:
        labels = [names[position] for position in rows.column("label").to_pylist()]
        found = label_quality.examine(texts, labels, **options)
    return {"label_quality": _record(found, rows, files)}


def _texts(rows: MappedTable, inputs: Sequence[str]) -> list[str]:
    columns = [rows.column(name).to_pylist() for name in inputs]
    return ["\n".join(row) for row in zip(*columns, strict=True)]


def _record(found: LabelQuality, rows: MappedTable, files: Sequence[str]) -> dict[str, Any]:
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
        for suspect in found.suspects[:MOST]
    ]
    return {
        "suspects": suspects,
        "found": len(found.suspects),
        "estimated_share": found.estimated_share,
        "looked_at": found.looked_at,
        "accuracy": found.accuracy,
    }
