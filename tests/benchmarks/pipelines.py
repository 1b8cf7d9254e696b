"""Whole runs: what they cost beyond training, what they reach, and how well they are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.commands import Timed, preflight, run, scratch
from tests.benchmarks.figures import Figures, seconds
from tests.benchmarks.options import HERE, ROOT, Options, overrides, shipped

FLOORS = {"sst2": 0.875, "ag_news": 0.89}
SHIPPED = ("sentiment", "topics")


def reuse(options: Options) -> Figures:
    """A run over unchanged inputs."""
    file = ROOT / "configs" / "sentiment.yaml"
    with scratch() as folder:
        run(folder / "home", file, shipped(options))
        again = [run(folder / "home", file, shipped(options)) for _ in range(options.pairs)]
    assert all(all(timed.record["reused"].values()) for timed in again)
    columns = ["seconds", *(f"run {index + 1}" for index in range(len(again))), "median"]
    return Figures("Unchanged inputs: every stage reused", columns, _parts(again, "all"))


def overhead(options: Options) -> Figures:
    """SST-2 from nothing, and everything again in the same home."""
    with scratch() as folder:
        chosen = [*overrides(options, "sst2", folder), "training.epochs=1"]
        cold = run(folder / "home", HERE / "sst2.yaml", chosen)
        warm = run(folder / "home", HERE / "sst2.yaml", chosen, "--fresh")
    rows = _parts([cold, warm], "all")
    rows.append(["beyond training and evaluation", *map(_overhead, (cold, warm))])
    columns = ["seconds", "new home", "--fresh in the same home"]
    title = "SST-2, one epoch: where a run's time goes"
    return Figures(title, columns, [row[: len(columns)] for row in rows])


def _overhead(timed: Timed) -> str:
    return seconds(timed.overhead)


def _parts(runs: Sequence[Timed], whole: str) -> list[list[str]]:
    """A row for each part, one for all of them, and one for what ran beside them."""
    rows = [_row(name, [timed.parts[name] for timed in runs]) for name in runs[0].parts]
    rows.append(_row(whole, [timed.seconds for timed in runs]))
    rows.append(_row("(in the background: MLflow start)", [timed.connect for timed in runs]))
    return rows


def _row(name: str, values: Sequence[float]) -> list[str]:
    return [name, *map(seconds, values), seconds(median(values))]


def sst2(options: Options) -> Figures:
    """Accuracy on SST-2."""
    return _accuracy(options, "sst2")


def ag_news(options: Options) -> Figures:
    """Accuracy on AG News."""
    return _accuracy(options, "ag_news")


def _accuracy(options: Options, name: str) -> Figures:
    file = HERE / f"{name}.yaml"
    with scratch() as folder:
        timed = run(folder / "home", file, overrides(options, name, folder))
    record, training = timed.record, timed.record["training"]
    value, (low, high) = record["metrics"]["accuracy"], record["interval"]
    speed = training["samples"] / training["seconds"]
    lines = len([line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()])
    cells = [f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{FLOORS[name]:.3f}"]
    cells += [f"{speed:.0f}", seconds(training["seconds"]), seconds(timed.seconds), str(lines)]
    columns = [name, "test accuracy", "95% interval", "floor", "samples/s"]
    columns += ["training s", "whole run s", "YAML lines"]
    note = f"{record['rows']['test']:,} test rows; {record['quarantined']} rows quarantined."
    return Figures("Accuracy of the starter model", columns, [["onestep", *cells]], note)


def forecast(options: Options) -> Figures:
    """What preflight predicts against what the run takes."""
    with scratch() as folder:
        rows: list[list[str]] = []
        for name in SHIPPED:
            rows += _predicted(folder, ROOT / "configs" / f"{name}.yaml", shipped(options))
        if options.data.is_dir():
            chosen = [*overrides(options, "sst2", folder), "training.epochs=1"]
            rows += _predicted(folder, HERE / "sst2.yaml", chosen)
    columns = ["pipeline", "predicted", "measured", "predicted / measured"]
    return Figures("Forecast of `onestep preflight`", columns, rows, "SST-2 with one epoch.")


def _predicted(folder: Path, file: Path, chosen: Sequence[str]) -> list[list[str]]:
    report = preflight(folder / f"{file.stem}-preflight", file, chosen).record
    truth = run(folder / file.stem, file, chosen)
    predicted, training = report["forecast"], truth.record["training"]
    pairs = {
        "training, s": (predicted["training_seconds"], training["seconds"]),
        "evaluation, s": (predicted["test_seconds"], truth.parts["evaluation"]),
        "whole run, s": (report["run_seconds"], truth.seconds),
        "peak memory, MiB": (predicted["peak_memory"] / 2**20, training["peak_memory"] / 2**20),
    }
    return [
        [f"{file.stem}: {what}", seconds(guess), seconds(real), f"{guess / real:.2f}"]
        for what, (guess, real) in pairs.items()
    ]
