"""Stage 4, evaluation: run the model that will be served over the test split and score it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import Pipeline
from tasks import arrow, packaging
from tasks.applications import base as applications
from tasks.applications.base import Application, Facts, Scorer
from tasks.finetuning import Tuned, headline_of
from tasks.reporting import Progress, announce
from tasks.store import Stored, read_json, write_json
from tasks.tokenization import Tokenized
from tasks.training import events
from tasks.validation import Validated
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VERSION = 4
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result of the stage.

    Attributes:
        stored: the output folder: ``metrics.json``, tables, plots, and ``package/``, the model.
        headline: the metric that decides.
        metrics: every metric on the test split.
        interval: bootstrap interval of the headline metric.
        details: rows of the detail table.
        baseline_name: what the trivial method does.
        baseline: its metrics on the test split.
        signatures: how metrics were computed, where a library says so.
    """

    stored: Stored
    headline: str
    metrics: dict[str, float]
    interval: tuple[float, float]
    details: list[dict[str, Any]]
    baseline_name: str
    baseline: dict[str, float]
    signatures: dict[str, str]

    @property
    def note(self) -> str:
        """One line for people."""
        low, high = self.interval
        shown = f"{self.headline} {self.metrics[self.headline]:.4f} [{low:.4f}, {high:.4f}]"
        return f"{shown}; {self.baseline_name} {self.baseline[self.headline]:.4f}"

    @property
    def package(self) -> Path:
        """The folder to register."""
        return self.stored.path / "package"


def evaluate(
    config: Pipeline,
    workspace: Workspace,
    validated: Validated,
    tokenized: Tokenized,
    tuned: Tuned,
) -> Evaluated:
    """Measure the fine-tuned model on the test split."""
    application = applications.get(config.application)
    settings = _settings(config, application, tokenized, tuned)
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "model": tuned.model,
        "rows": validated.digest,
        "contract": validated.stored.content("profile.json", "report.json"),
        "serving": packaging.serving_digest(application),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "settings": settings,
    }

    def build(folder: Path) -> dict[str, Any]:
        package = packaging.build(
            folder / "package",
            tuned.stored.path / "model",
            validated.stored.path,
            application,
            settings,
        )
        _use_threads(config.compute.threads)
        rows = arrow.MappedTable(validated.stored.path / "test.arrow")
        scorers = application.scorer(settings), application.scorer(settings)
        kinds = _predict(package, rows, application, settings, scorers)
        write_json(folder / "predictions.json", kinds)
        return _write(folder, config, scorers, rows, validated, tuned)

    stored = workspace.store.produce("evaluation", inputs, build, fresh=workspace.fresh)
    record = read_json(stored.path / "metrics.json")
    interval = (record["interval"][0], record["interval"][1])
    details = read_json(stored.path / "details.json")
    return Evaluated(
        stored,
        headline_of(config),
        record["metrics"],
        interval,
        details,
        application.baseline_name(config.data),
        record["baseline"],
        record["signatures"],
    )


def _settings(
    config: Pipeline, application: Application, tokenized: Tokenized, tuned: Tuned
) -> Facts:
    """All that the served model has to know, as ``predictor.json`` will have it."""
    return {
        "application": config.application,
        "precision": config.training.precision,
        "batch_size": config.evaluation.batch_size,
        **tokenized.start.settings(),
        **tokenized.facts,
        **application.decoding(config),
        **tuned.learned,
    }


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _predict(
    package: Path,
    rows: arrow.MappedTable,
    application: Application,
    settings: Facts,
    scorers: tuple[Scorer, Scorer],
) -> Counter[str]:
    """Score the served model, and the trivial method beside it; count the kinds of answers."""
    from tasks.predictor import Predictor

    predictor = Predictor().open(package)
    inputs, kinds = settings["inputs"], Counter[str]()
    for start in range(0, len(rows), CHUNK):
        table: pd.DataFrame = rows.slice(start, min(start + CHUNK, len(rows))).to_pandas()
        predictions = predictor.predict(None, table[inputs])
        targets = {name: table[name].to_numpy() for name in table.columns}
        scorers[0].update(targets, application.served(predictions))
        scorers[1].update(targets, application.baseline(table, settings))
        kinds.update(application.kinds(predictions) or [])
        done = min(start + CHUNK, len(rows))
        announce(Progress("evaluating", {"done": done, "total": len(rows)}))
    return kinds


def _write(
    folder: Path,
    config: Pipeline,
    scorers: tuple[Scorer, Scorer],
    rows: arrow.MappedTable,
    validated: Validated,
    tuned: Tuned,
) -> dict[str, Any]:
    section, headline = config.evaluation, headline_of(config)
    scorer, baseline = scorers
    metrics = scorer.metrics()
    interval = scorer.interval(headline, section.bootstrap_samples, section.confidence)
    record = {"headline": headline, "metrics": metrics, "interval": list(interval)}
    record |= {"baseline": baseline.metrics(), "signatures": scorer.signatures()}
    write_json(folder / "metrics.json", record)
    write_json(folder / "details.json", scorer.details(metrics))
    write_json(
        folder / "mistakes.json", _locate(scorer.mistakes(section.mistakes), rows, validated)
    )
    write_json(folder / "matrix.json", scorer.matrix())
    figures = dict(scorer.figures()) | {"loss_curves": loss_curves(tuned.stored.path)}
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
    return record


def _locate(
    mistakes: list[dict[str, Any]], rows: arrow.MappedTable, validated: Validated
) -> list[dict[str, Any]]:
    """Replace positions in the stream by file and row number."""
    if not mistakes:
        return []
    files = validated.stored.summary["files"]
    table = rows.take(np.array([mistake["position"] for mistake in mistakes]))
    places = zip(table["file"].to_pylist(), table["row"].to_pylist(), strict=True)
    return [
        {"file": files[file], "row": row} | {k: v for k, v in mistake.items() if k != "position"}
        for (file, row), mistake in zip(places, mistakes, strict=True)
    ]


def loss_curves(folder: Path) -> Figure:
    """Training loss by optimizer step, and validation loss by epoch."""
    from matplotlib.figure import Figure

    records = events.history(folder)
    steps = _series([r for r in records if r["kind"] == "step"], lambda r: r["loss"])
    checks = _series(
        [r for r in records if r["kind"] == "validation"], lambda r: r["metrics"]["loss"]
    )
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*steps, color="tab:blue", alpha=0.25, label="training, each step")
    axes.plot(steps[0], _smooth(steps[1]), color="tab:blue", label="training, smoothed")
    axes.plot(*checks, color="tab:orange", marker="o", label="validation")
    axes.set(xlabel="optimizer step", ylabel="loss", title="Loss", ylim=(0, None))
    axes.legend()
    return figure


def _series(records: list[dict[str, Any]], value: Any) -> tuple[list[int], list[float]]:
    return [record["step"] for record in records], [value(record) for record in records]


def _smooth(values: list[float], weight: float = 0.95) -> list[float]:
    """Exponential moving average without start-up bias."""
    smoothed, total, norm = [], 0.0, 0.0
    for value in values:
        total, norm = weight * total + value, weight * norm + 1
        smoothed.append(total / norm)
    return smoothed
