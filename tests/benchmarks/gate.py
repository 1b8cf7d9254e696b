"""The gate on real data: what it decides, and how often it errs about models that are alike."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from configs.schema import Gate
from tasks.applications.scoring import Scorer
from tasks.champion import gate, paired
from tasks.champion.checks import Evidence
from tasks.champion.paired import Comparison
from tasks.evaluation import OUTCOMES
from tests.benchmarks.commands import run, scratch
from tests.benchmarks.figures import Figures
from tests.benchmarks.options import HERE, Options, declared_files, overrides, sample

NAMES = ("sst2", "ag_news")
FEW_ROWS = 1000
WRONG = 0.25
"""Share of the training rows that get the label of another row."""
ALL = "all rows"
ALIKE = "the same, another seed"
TRIALS = 1000
RULES = get_args(Gate.model_fields["rule"].annotation)
SAMPLES, CONFIDENCE = 1000, 0.95
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes:
        name: how it differs from the others.
        record: of its run.
        right: which test rows it answers rightly.
    """

    name: str
    record: dict[str, Any]
    right: Bools


def decisions(options: Options) -> Figures:
    """One version after the other: few rows, all rows, another seed, wrong labels."""
    rows = [
        [f"{name}: {version.name}", *_cells(version.record)]
        for name in NAMES
        for version in _versions(options, name)
    ]
    columns = ["version", "rows", "accuracy", "of the champion", "gain", "95% interval"]
    columns += ["McNemar p", "verdict"]
    note = "One epoch. The gate is at its defaults, and accuracy decides."
    return Figures("What the gate decides", columns, rows, note)


@cache
def _versions(options: Options, name: str) -> list[Version]:
    found = []
    with scratch() as folder:
        home, known = folder / "home", set[Path]()
        for version, changes in _challengers(options, name, folder).items():
            chosen = [*overrides(options, name, folder), "gate.thresholds={}", "training.epochs=1"]
            record = run(home, HERE / f"{name}.yaml", [*chosen, *changes]).record
            (path,) = set((home / "stages" / "evaluation").rglob(OUTCOMES)) - known
            known.add(path)
            found.append(Version(version, record, pd.read_parquet(path)["merit"].to_numpy() > 0))
    return found


def _challengers(options: Options, name: str, folder: Path) -> dict[str, list[str]]:
    """Overrides by what they change, in the order in which the versions are made."""
    train = declared_files(options, name)["train"]
    everything = sample(train, 256, folder) if options.quick else train
    few = sample(train, 64 if options.quick else FEW_ROWS, folder)
    return {
        f"{FEW_ROWS:,} training rows": [f"data.train={few}"],
        ALL: [f"data.train={everything}"],
        ALIKE: [f"data.train={everything}", "seed=7"],
        f"{WRONG:.0%} of the labels wrong": [f"data.train={_spoil(everything, folder)}"],
    }


def _spoil(path: Path, folder: Path) -> Path:
    """Shuffle the labels of some rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    generator = random.Random(0)
    chosen = generator.sample(rows, int(2 * WRONG * len(rows)))
    labels = [row["label"] for row in chosen]
    for row, label in zip(chosen, generator.sample(labels, len(labels)), strict=True):
        row["label"] = label
    target = folder / f"spoiled-{path.name}"
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return target


def _cells(record: dict[str, Any]) -> list[str]:
    verdict = "promoted" if record["alias"] == "champion" else "not promoted"
    rows, value = f"{record['rows']['train']:,}", f"{record['metrics']['accuracy']:.4f}"
    found = [one for one in record["gate"]["metrics"] if one["metric"] == "accuracy"]
    if not found:
        return [rows, value, "", "", "", "", verdict]
    (one,) = found
    cells = [f"{one['champion']:.4f}", f"{one['gain']:+.4f}"]
    cells += [f"{one['low']:+.4f} to {one['high']:+.4f}", f"{record['gate']['mcnemar']:.3g}"]
    return [rows, value, *cells, verdict]


def errors(options: Options) -> Figures:
    """How often a model that is no better is promoted, by rule.

    The answers of two models that differ by their seed alone are exchanged, row by row and at
    random: then neither is better than the other.
    """
    rows = []
    for name in NAMES:
        first, second = (v.right for v in _versions(options, name) if v.name in (ALL, ALIKE))
        generator = np.random.default_rng(0)
        promoted = dict.fromkeys(RULES, 0)
        for _ in range(TRIALS):
            swap = generator.random(len(first)) < 0.5
            ours, theirs = np.where(swap, second, first), np.where(swap, first, second)
            evidence = _evidence(ours, theirs)
            for rule in RULES:
                decision = gate.decide(evidence, Gate.model_validate({"rule": rule}))
                promoted[rule] += decision.alias == "champion"
        shares = [f"{promoted[rule] / TRIALS:.3f}" for rule in RULES]
        rows.append([name, f"{len(first):,}", f"{(first != second).mean():.3f}", *shares])
    columns = ["data", "test rows", "answered differently", *RULES]
    note = f"Share of {TRIALS:,} comparisons in which a model that is no better is promoted."
    return Figures("How often the gate promotes by chance", columns, rows, note)


class _Right:
    """A scorer of which only the rows that are right are known."""

    def __init__(self, right: Bools) -> None:
        self.right = right

    def resampled(self, _: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """The accuracy in each resample."""
        return np.asarray(weights @ self.right / weights.sum(axis=1))


def _evidence(ours: Bools, theirs: Bools) -> Evidence:
    scorers = [cast("Scorer", _Right(right)) for right in (ours, theirs)]
    found = paired.compare(*scorers, ["accuracy"], len(ours), SAMPLES, CONFIDENCE)
    comparison = Comparison("models:/other/1", len(ours), found)
    metrics = {"accuracy": float(ours.mean())}
    return Evidence("accuracy", metrics, len(ours), 1, champion=1, comparison=comparison)
