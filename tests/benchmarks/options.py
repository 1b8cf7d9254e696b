"""What the command line of the benchmarks decides, and the files that follow from it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.reading import load

T = TypeVar("T")
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = HERE / "data"
QUICK_ROWS = {"train": 256, "validation": 96, "test": 256}


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        data: folder with the public data sets.
        quick: few rows and one epoch, to see that a benchmark works.
        rows: training rows of ``trainer``; 0 takes all.
        epochs: of ``trainer``.
        pairs: repetitions of what is repeated.
        threads: CPU threads of the training process; None leaves the choice to the product.
        attention: the attention kernel that ``Trainer`` runs.
    """

    data: Path = DATA
    quick: bool = False
    rows: int = 1280
    epochs: int = 2
    pairs: int = 3
    threads: int | None = None
    attention: str = "sdpa"


def overrides(options: Options, name: str, folder: Path) -> list[str]:
    """The overrides that make a pipeline file of the benchmarks follow the options."""
    files = declared_files(options, name)
    if options.quick:
        files = {split: sample(path, QUICK_ROWS[split], folder) for split, path in files.items()}
    found = [f"data.{split}={path}" for split, path in files.items()]
    if options.quick:
        found += ["training.epochs=1", "contract.max_quarantined=0.05"]
    return found + _threads(options)


def declared_files(options: Options, name: str) -> dict[str, Path]:
    """The files of each split that a pipeline file of the benchmarks declares."""
    data = load(HERE / f"{name}.yaml").data
    declared = {split: getattr(data, split) for split in QUICK_ROWS}
    return {
        split: (options.data / Path(files[0]).relative_to(DATA.name)).resolve()
        for split, files in declared.items()
        if isinstance(files, tuple)
    }


def shipped(options: Options) -> list[str]:
    """The overrides for a pipeline that ships."""
    quick = ["training.epochs=1"] if options.quick else []
    return quick + _threads(options)


def _threads(options: Options) -> list[str]:
    return [] if options.threads is None else [f"compute.threads={options.threads}"]


def sample(path: Path, count: int, folder: Path) -> Path:
    """Write evenly spaced rows of a CSV or JSONL file to a folder."""
    target = folder / f"{path.parent.name}-{path.stem}-{count}{path.suffix}"
    with path.open(encoding="utf-8", newline="") as stream:
        if path.suffix == ".jsonl":
            target.write_text("".join(_spaced(list(stream), count)), encoding="utf-8")
            return target
        header, *rows = csv.reader(stream)
    with target.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *_spaced(rows, count)])
    return target


def _spaced(rows: list[T], count: int) -> list[T]:
    count = min(count, len(rows)) or len(rows)
    return [rows[index * len(rows) // count] for index in range(count)]
