"""Stage 4, evaluation: score the model that will be served on the test split."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.language import english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application, Facts
from tasks.applications.bootstrap import widened
from tasks.applications.scoring import Scorer
from tasks.arrow import MappedTable
from tasks.champion import answers, paired, slices
from tasks.champion.paired import MetricComparison
from tasks.contract.rows import origins
from tasks.contract.sources.splits import usual_options
from tasks.finetuning import FinetuningResult, extra_metrics, primary_metric_of
from tasks.metrics import code_digests
from tasks.processes import calls
from tasks.report import plots
from tasks.store import StoredOutput, StoredResult, files_below, read_json, write_json
from tasks.tokenization import TokenizationResult
from tasks.trace import span
from tasks.tracking import packaging
from tasks.training.model import families
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

VERSION = 9
ANSWERS = "answers"
SLICES = "slices.parquet"
OUTCOMES = "outcomes.parquet"


@dataclass(frozen=True, slots=True)
class EvaluationResult(StoredResult):
    """The result of the stage.

    Attributes:
        stored: the output folder: ``metrics.json``, tables, plots, and ``package/``, the model.
        baseline_gain: the primary metric beside that of the trivial method, row by row.
        signatures: settings of the metrics that a library reports.
        cost: ``latency_ms``, the median time to answer one row, and ``megabytes`` on disk.
        holdout: digest of the validated rows.
    """

    primary_metric: str
    metrics: dict[str, float]
    interval: tuple[float, float]
    details: list[dict[str, Any]]
    baseline_name: str
    baseline: dict[str, float]
    baseline_gain: MetricComparison
    signatures: dict[str, str]
    cost: dict[str, float]
    slices: list[dict[str, Any]]
    holdout: str

    @property
    def note(self) -> str:
        """One line for people."""
        low, high = self.interval
        shown = (
            f"{self.primary_metric} {self.metrics[self.primary_metric]:.4f} [{low:.4f}, {high:.4f}]"
        )
        value = self.baseline[self.primary_metric]
        trivial = english("{baseline} {value:.4f}", baseline=self.baseline_name, value=value)
        return f"{shown}; {trivial}"

    @property
    def package(self) -> Path:
        """The folder to register."""
        return self.stored.path / "package"

    @property
    def answers(self) -> Path:
        """The folder with the answers of the model."""
        return self.stored.path / ANSWERS


def evaluate(
    config: Pipeline,
    workspace: Workspace,
    validated: ValidationResult,
    tokenized: TokenizationResult,
    tuned: FinetuningResult,
) -> EvaluationResult:
    """Measure the fine-tuned model on the test split."""
    application = applications.get(config.application)
    stage = _Evaluation(config, validated, tokenized, tuned)

    def build(folder: Path) -> dict[str, Any]:
        return calls.call(stage.build, folder)

    inputs, fresh = stage.inputs(), workspace.fresh
    stored = workspace.store.produce("evaluation", inputs, build, fresh=fresh)
    return _read(stored, stage.primary_metric, application.baseline.name(config.data))


def _read(stored: StoredOutput, primary_metric: str, baseline_name: str) -> EvaluationResult:
    """Take the figures from an output."""
    record = read_json(stored.path / "metrics.json")
    low, high = record["interval"]
    return EvaluationResult(
        stored=stored,
        primary_metric=primary_metric,
        metrics=record["metrics"],
        interval=(low, high),
        details=read_json(stored.path / "details.json"),
        baseline_name=baseline_name,
        baseline=record["baseline"],
        baseline_gain=MetricComparison(**record["baseline_gain"]),
        signatures=record["signatures"],
        cost=record["cost"],
        slices=read_json(stored.path / "slices.json"),
        holdout=record["holdout"],
    )


@dataclass(frozen=True, slots=True)
class _TestAnswers:
    """The answers of the served model, the scorers of both, answers by category, and the cost."""

    answers: pd.DataFrame
    scorer: Scorer
    baseline: Scorer
    kinds: Counter[str]
    cost: dict[str, float]


@dataclass(frozen=True)
class _Evaluation:
    """The evaluation of one fine-tuned model."""

    config: Pipeline
    validated: ValidationResult
    tokenized: TokenizationResult
    tuned: FinetuningResult

    @property
    def application(self) -> Application:
        return applications.get(self.config.application)

    @property
    def primary_metric(self) -> str:
        return primary_metric_of(self.config)

    def inputs(self) -> dict[str, Any]:
        """Everything that the output depends on."""
        return {
            "version": VERSION,
            "application": [self.application.name, self.application.version],
            "model": self.tuned.model,
            "rows": self.validated.digest,
            "sources": self.validated.sources.digest,
            "id_column": self.config.data.id_column,
            "contract": self.validated.stored.content("profile.json", "report.json"),
            "serving": packaging.serving_digest(self.application),
            "evaluation": self.config.evaluation.model_dump(mode="json"),
            "extra_metrics": code_digests(extra_metrics(self.config)),
            "settings": self._settings(),
            "confidence": self.config.gate.confidence_level,
            "slices": self.config.gate.slices.model_dump(mode="json", exclude={"max_drop"}),
        }

    def _settings(self) -> dict[str, Any]:
        """Settings of the served model, as in ``predictor.json``."""
        precision = self.config.training.precision
        return {
            "application": self.config.application,
            "precision": families.usable_precision(self.tokenized.spec.base, precision),
            "batch_size": self.config.evaluation.batch_size,
            "columns": dict(self.config.data.columns),
            "reading": asdict(usual_options(self.config.data, self.validated.reading)),
            **self.tokenized.spec.settings(),
            **self.application.serving.configure(self.tokenized.facts, self.config).record(),
            **self.tuned.learned,
        }

    @cached_property
    def rows(self) -> MappedTable:
        return self.validated.table("test")

    @cached_property
    def origin(self) -> dict[str, list[Any]]:
        """The file and row of each test row; its line and id, as far as they are known."""
        sources, id_column = self.validated.sources, self.config.data.id_column
        return origins.describe(self.rows, sources, id_column)

    def build(self, folder: Path) -> dict[str, Any]:
        """Fill the output folder, and return the figures."""
        from tasks.training.hardware import use_threads

        data, settings = self.validated.stored.path, self._settings()
        model = self.tuned.stored.path / "model"
        package = packaging.build(folder / "package", model, data, self.application, settings)
        use_threads(self.config.compute.threads)
        answered = self._ask(package, self.application.facts.read(settings))
        answers.save(answered.answers, folder / ANSWERS)
        write_json(folder / "predictions.json", answered.kinds)
        return self._write(folder, answered)

    @span("answer test rows")
    def _ask(self, package: Path, facts: Facts) -> _TestAnswers:
        """Score the served model, and the trivial method beside it."""
        from tasks.predictor import Predictor

        predictor, scoring = Predictor().open(package), self.application.scoring

        def ask(table: pd.DataFrame) -> pd.DataFrame:
            return predictor.predict(None, table)

        predict = answers.under_own_names(ask, predictor.settings)
        extra = extra_metrics(self.config)
        scorer, baseline = (scoring.extended_scorer(facts, extra) for _ in range(2))
        training = answers.chunks(self.validated.table("train"))
        method = self.application.baseline.fit(training, facts)

        def observe(table: pd.DataFrame, answered: pd.DataFrame) -> None:
            targets = answers.targets(table)
            scorer.update(targets, scoring.served(answered))
            baseline.update(targets, method.predict(table, facts))

        found = answers.ask(predict, self.rows, facts.inputs, observe)
        cost = {
            "latency_ms": answers.latency(predict, self.rows, facts.inputs),
            "megabytes": sum(path.stat().st_size for path in files_below(package)) / 1e6,
        }
        kinds = Counter(scoring.categories(found) or [])
        return _TestAnswers(found, scorer, baseline, kinds, cost)

    @span("score, sample and draw")
    def _write(self, folder: Path, answered: _TestAnswers) -> dict[str, Any]:
        section, metric, scorer = self.config.evaluation, self.primary_metric, answered.scorer
        metrics = scorer.metrics()
        limits = self.application.scoring.limits(self.config.data, metric)
        confidence, known = section.confidence_level, scorer.effective_rows(metric)
        found = scorer.interval(metric, section.bootstrap_samples, confidence)
        interval = widened(found, limits, known, confidence)
        record = {"headline": metric, "metrics": metrics, "interval": list(interval)}
        record |= {"baseline": answered.baseline.metrics(), "signatures": scorer.signatures()}
        record |= {"cost": answered.cost, "holdout": self.validated.digest}
        record |= {"baseline_gain": asdict(self._baseline_gain(answered))}
        write_json(folder / "metrics.json", record)
        write_json(folder / "details.json", scorer.details(metrics))
        write_json(folder / "slices.json", self._slices(folder, scorer))
        self._outcomes(scorer).to_parquet(folder / OUTCOMES, index=False)
        write_json(folder / "mistakes.json", self._locate(scorer.mistakes(section.num_mistakes)))
        write_json(folder / "matrix.json", scorer.matrix())
        plots.draw(folder, scorer, self.tuned.stored.path)
        return record

    def _baseline_gain(self, answered: _TestAnswers) -> MetricComparison:
        metric = self.primary_metric
        (found,) = paired.compare(
            answered.scorer,
            answered.baseline,
            {metric: self.application.scoring.limits(self.config.data, metric)},
            len(self.rows),
            self.config.evaluation.bootstrap_samples,
            self.config.gate.confidence_level,
        )
        return found

    def _slices(self, folder: Path, scorer: Scorer) -> list[dict[str, Any]]:
        """The primary metric by slice; the rows of each slice are kept beside the answers."""
        inputs, sources = self.validated.facts.inputs, self.validated.sources
        masks = slices.find(self.config, self.rows, inputs, sources)
        pd.DataFrame(masks).to_parquet(folder / ANSWERS / SLICES, index=False)
        metric = self.primary_metric
        return [
            {
                "name": name,
                "rows": int(mask.sum()),
                metric: float(scorer.resampled(metric, mask[None].astype(np.int64))[0]),
            }
            for name, mask in masks.items()
        ]

    def _outcomes(self, scorer: Scorer) -> pd.DataFrame:
        """The score of each answer by file, row, line, id and inputs as a digest, not as text."""
        inputs = list(answers.input_digests(self.rows, self.validated.facts.inputs))
        merit = answers.answer_scores(scorer, self.primary_metric, len(self.rows))
        return pd.DataFrame({**self.origin, "input": inputs, "merit": merit})

    def _locate(self, mistakes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace positions in the stream by file, row number, line and id."""
        return [
            {name: values[mistake["position"]] for name, values in self.origin.items()}
            | {k: v for k, v in mistake.items() if k != "position"}
            for mistake in mistakes
        ]
