"""The data contract: speed beside plain pandas and pandera, memory, and the cost of each check."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.commands import scratch
from tests.benchmarks.figures import Figures
from tests.benchmarks.options import HERE, ROOT, Options

WORDS = 25
LABELS = ("billing", "delivery", "returns", "technical")
SIZES = (100_000, 1_000_000, 10_000_000)
COMPARED = 1_000_000
"""The largest table that the peer, which holds all of it in memory, is given."""
BATCH = 20_000
SETS = ("sst2", "ag_news", "squad_v1", "tatoeba_en_zh", "bbc_news_summary")


def contract(options: Options) -> Figures:
    """Rows a second and memory, from a hundred thousand rows to ten million."""
    sizes = (20_000,) if options.quick else SIZES
    with scratch() as folder:
        rows = [_measured(folder, size) for size in sizes]
    columns = ["rows", "checks, 1 process", "pandas and pandera", "ratio", "whole stage"]
    columns += ["2 processes", "ratio", "peak memory", "theirs"]
    note = (
        f"{WORDS}-word texts with labels, CSV; rows/s. Checks: form, labels, privacy, exact "
        "duplicates, with reading and spooling; the whole stage also samples language and "
        "near-duplicates, splits, profiles and writes."
    )
    return Figures("Data contract", columns, rows, note)


def _measured(folder: Path, size: int) -> list[str]:
    path = write_table(folder / f"{size}.csv", size)
    one, two = (_job("ours", path, folder / f"home-{n}", n) for n in (1, 2))
    theirs = _job("theirs", path, folder, 1) if size <= COMPARED else None
    checks = size / one["checks"]
    cells = [f"{size:,}", f"{checks:,.0f}"]
    cells += (
        [f"{size / theirs['checks']:,.0f}", f"{theirs['checks'] / one['checks']:.2f}"]
        if (theirs)
        else ["", ""]
    )
    cells += [f"{size / one['stage']:,.0f}", f"{size / two['stage']:,.0f}"]
    cells += [f"{one['stage'] / two['stage']:.2f}", f"{one['memory']:.2f} GB"]
    return [*cells, f"{theirs['memory']:.2f} GB" if theirs else ""]


def _job(who: str, path: Path, home: Path, threads: int) -> dict[str, float]:
    """Measure in a process of its own, so that its peak of memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.contract_job", who, path, home, str(threads)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{who} failed:\n{done.stderr.decode()}")
    record: dict[str, float] = json.loads(done.stdout.decode().splitlines()[-1])
    return record


def write_table(path: Path, size: int) -> Path:
    """Write different texts of common words, every third one with a comma."""
    rng = random.Random(7)
    words = _vocabulary()
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for number in range(size):
            text = " ".join(rng.choices(words, k=WORDS)) + ("," if number % 3 == 0 else "")
            writer.writerow([text, LABELS[number % len(LABELS)]])
    return path


def _vocabulary() -> list[str]:
    """The words of the shipped samples, which are written by people."""
    texts = [
        path.read_text("utf-8") for path in (ROOT / "configs" / "samples").glob("topics.*.csv")
    ]
    return sorted({word for text in texts for word in text.split() if word.isalpha()})


def checks(options: Options) -> Figures:
    """What each check costs."""
    import pyarrow as pa

    from tasks.contract.rules import characters
    from tasks.contract.rules.language_detection import Detector
    from tasks.contract.rules.privacy import KINDS, Recognizer
    from tasks.contract.rules.similarity import near_duplicates
    from tasks.contract.statistics.profile import Profiler

    with scratch() as folder:
        path = write_table(folder / "checks.csv", 2_000 if options.quick else BATCH)
        texts = [row["text"] for row in csv.DictReader(path.open(encoding="utf-8"))]
    array = pa.array(texts, pa.large_string())
    recognizer, detector, few = Recognizer(KINDS, ["de", "us"]), Detector("en"), texts[:2000]
    costs: dict[str, tuple[Callable[[], Any], int]] = {
        "missing": (lambda: characters.missing(array), len(texts)),
        "length": (lambda: characters.length(array, 1, 1000), len(texts)),
        "mojibake": (lambda: characters.mojibake(array), len(texts)),
        "replacement": (lambda: characters.replacement(array), len(texts)),
        "control": (lambda: characters.control(array), len(texts)),
        "html": (lambda: characters.html(array), len(texts)),
        "privacy, all kinds": (lambda: recognizer.masks(array), len(texts)),
        "profile": (lambda: Profiler(["text"]).update({"text": array}), len(texts)),
        "language": (lambda: detector.wrong(few), len(few)),
        "near duplicates": (lambda: near_duplicates(few, 0.8), len(few)),
    }
    rows = [[name, f"{_microseconds(*cost):.2f}"] for name, cost in costs.items()]
    return Figures("Cost of each check", ["check", "us a row"], rows, f"{WORDS}-word texts.")


def _microseconds(work: Callable[[], Any], rows: int) -> float:
    work()
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / rows * 1e6


def alarms(options: Options) -> Figures:
    """What the rules find in the public data sets."""
    from tasks.contract.sources import splits
    from tasks.validation import validate
    from tasks.workspace import Workspace
    from tests.benchmarks.options import overrides
    from tests.support.reading import load

    rows = []
    with scratch() as folder:
        for name in SETS:
            config = load(HERE / f"{name}.yaml", overrides(options, name, folder))
            workspace = Workspace.open(folder / name)
            report = validate(config, workspace, splits.locate(config.data)).report
            found = [rule for rule in report["rules"] if rule["found"]]
            words = ", ".join(f"{rule['name']} {rule['found']:,}" for rule in found)
            rows.append([name, f"{report['rows']['in']:,}", words or "nothing"])
    return Figures("What the rules find", ["data set", "rows", "found"], rows)
