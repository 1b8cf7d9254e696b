"""Compare the new model with the champion: both predict the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from configs.errors import OneStepError
from configs.language import english
from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application, Facts
from tasks.applications.scoring import Scorer
from tasks.champion import answers, paired, row_hashes, slices
from tasks.champion.paired import Comparison, MetricComparison
from tasks.evaluation import ANSWERS, SLICES, EvaluationResult
from tasks.finetuning import extra_metrics
from tasks.metrics import code_digests
from tasks.processes import calls
from tasks.store import read_json, write_json
from tasks.tracking import runs
from tasks.tracking.client import connect, unreachable
from tasks.tracking.packaging import package_digest
from tasks.tracking.runs import FINGERPRINT, load_model, uri_of
from tasks.validation import ValidationResult
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

VERSION = 3
APPLICATION, PROBLEM = "onestep.application", "onestep.problem"
RESULT = "comparison.json"
MODEL_FILE = "model/MLmodel"
CHANGED = "the model was changed after it was built"
"""Part of the served model's error about changed files."""


class _OtherProblemError(Exception):
    """The champion solves another problem."""


class _UnknownRowsError(Exception):
    """The rows that the champion has trained on are not recorded."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """The new model of a comparison with its answers, and the test rows."""

    config: Pipeline
    workspace: Workspace
    evaluated: EvaluationResult
    validated: ValidationResult


def compare(challenger: Challenger, champion: ModelVersion, tags: Mapping[str, str]) -> Comparison:
    """Let the champion predict every test row, and compare its answers with the new model's.

    The result is stored: the same two models on the same rows are compared once. If they cannot be
    compared, the reason is the result, and it is not stored. The ``tags`` name the application and
    the problem of the new model.
    """
    reference = uri_of(champion)
    try:
        _require_same_problem(tags, champion)
        if challenger.evaluated.holdout != challenger.validated.digest:
            changed = english(
                "the test rows are no longer those that the new model was measured on"
            )
            return Comparison(reference, problem=changed)
        return _compared(challenger, champion, reference)
    except _OtherProblemError as error:
        advice = english("give the pipeline a registry.name of its own")
        problem = english(
            "version {version} has {reason}; {advice}",
            version=champion.version,
            reason=error,
            advice=advice,
        )
        return Comparison(reference, problem=problem, other_problem=True)
    except _UnknownRowsError:
        problem = english(
            "on which rows the champion, version {version}, has trained is unknown",
            version=champion.version,
        )
        advice = english(
            "its run has no {file}; decide with `onestep promote`", file=row_hashes.TRAINING
        )
        return Comparison(reference, problem=f"{problem}: {advice}")
    except Exception as error:
        if isinstance(error, OneStepError) or unreachable(error):
            raise
        problem = english(
            "the champion, version {version}, cannot be run: {error}",
            version=champion.version,
            error=_first_line(error),
        )
        return Comparison(reference, problem=problem)


def _compared(challenger: Challenger, champion: ModelVersion, reference: str) -> Comparison:
    def build(folder: Path) -> dict[str, Any]:
        found = calls.call(_compare_models, challenger, runs.portable(champion), reference)
        write_json(folder / RESULT, asdict(found))
        return {"reference": reference, "rows": found.rows}

    inputs, fresh = _inputs(challenger, champion, reference), challenger.workspace.fresh
    stored = challenger.workspace.store.produce("comparison", inputs, build, fresh=fresh)
    return Comparison.of(read_json(stored.path / RESULT))


def _compare_models(challenger: Challenger, champion: ModelVersion, reference: str) -> Comparison:
    client = connect(challenger.workspace)
    return _Models(challenger, champion, client).compare(reference)


def _inputs(challenger: Challenger, champion: ModelVersion, reference: str) -> dict[str, Any]:
    """Everything that the result depends on."""
    config, application = challenger.config, applications.get(challenger.config.application)
    return {
        "version": VERSION,
        "challenger": package_digest(challenger.evaluated.package),
        "champion": [reference, champion.tags.get(FINGERPRINT), champion.creation_timestamp],
        "rows": challenger.validated.digest,
        "headline": challenger.evaluated.primary_metric,
        "extra_metrics": code_digests(extra_metrics(config)),
        "samples": config.evaluation.bootstrap_samples,
        "confidence": config.gate.confidence_level,
        "slices": config.gate.slices.model_dump(mode="json"),
        "rows_of_slices": challenger.evaluated.stored.content(f"{ANSWERS}/{SLICES}"),
        "application": [application.name, application.version],
    }


def _first_line(error: Exception) -> str:
    """The reason in one line; of an unexpected error only its type: the message may quote a row."""
    first = (str(error).splitlines() or [""])[0][:200]
    known = isinstance(error, OSError) or CHANGED in first
    return f"{type(error).__name__}: {first}" if known else type(error).__name__


def _require_same_problem(tags: Mapping[str, str], champion: ModelVersion) -> None:
    for tag, what in ((APPLICATION, "application"), (PROBLEM, english("labelling or language"))):
        ours, theirs = tags.get(tag), champion.tags.get(tag)
        if ours and theirs and ours != theirs:
            raise _OtherProblemError(english("another {other}", other=what))


class _Models:
    """Both models on the test rows."""

    def __init__(
        self, challenger: Challenger, champion: ModelVersion, client: MlflowClient
    ) -> None:
        self._challenger = challenger
        self._client = client
        self._version = champion
        self._config, self._evaluated = challenger.config, challenger.evaluated
        self._application: Application = applications.get(challenger.config.application)
        self._rows = challenger.validated.table("test")
        self._facts = self._application.facts.read(
            read_json(challenger.evaluated.package / "predictor.json")
        )

    def compare(self, reference: str) -> Comparison:
        """Load the champion, let it predict the rows that it has not trained on, and compare."""
        loaded = self._load()
        theirs = self._application.facts.read(loaded.unwrap_python_model().settings)
        if missing := set(theirs.inputs) - set(self._rows.schema.names):
            raise _OtherProblemError(
                english("another input: {missing}", missing=", ".join(sorted(missing)))
            )
        kept = self._unseen(theirs.inputs)
        rows, seen = int(kept.sum()), int((~kept).sum())
        if not rows:
            return Comparison(reference, seen=seen)
        return replace(self._compare_rows(loaded, theirs, kept, reference), rows=rows, seen=seen)

    def _compare_rows(
        self, loaded: Any, theirs: Facts, kept: answers.Mask, reference: str
    ) -> Comparison:
        champion = self._champion(loaded, theirs, kept)
        ours = answers.load(self._evaluated.answers)[kept]
        challenger = self._scorer(ours, self._facts, kept)
        primary_metric, rows = self._evaluated.primary_metric, int(kept.sum())
        names = [name for name in challenger.metrics() if name != "rows"]
        shared = set(champion.metrics())
        names = [name for name in names if name in shared]
        metrics = self._paired(challenger, champion, names, rows)
        same = any(one.same for one in metrics if one.metric == primary_metric)
        return Comparison(
            reference,
            rows,
            metrics,
            _mcnemar(challenger, champion),
            tuple(self._slices(challenger, champion, kept)),
            same,
        )

    def _load(self) -> Any:
        """The champion as it is served."""
        run_id = str(self._version.run_id)
        if not runs.has_artifact(self._client, run_id, MODEL_FILE):
            raise FileNotFoundError(english("its run has no {file}", file=MODEL_FILE))
        return load_model(self._challenger.workspace, self._version)

    def _unseen(self, inputs: Sequence[str]) -> answers.Mask:
        """The test rows that the champion has not trained on."""
        workspace, run_id = self._challenger.workspace, str(self._version.run_id)
        known = row_hashes.read(self._client, workspace, run_id, row_hashes.TRAINING)
        if known is None:
            raise _UnknownRowsError
        return ~np.isin(row_hashes.of(self._rows, inputs), known)

    def _champion(self, loaded: Any, theirs: Facts, kept: answers.Mask) -> Scorer:
        predict = answers.under_own_names(loaded.predict, loaded.unwrap_python_model().settings)
        said = answers.ask(predict, self._rows, theirs.inputs, kept=kept)
        try:
            aligned, facts = self._application.scoring.align(said, theirs, self._facts)
            return self._scorer(aligned, facts, kept)
        except ValueError as error:
            raise _OtherProblemError(str(error)) from None

    def _scorer(self, said: pd.DataFrame, facts: Facts, kept: answers.Mask) -> Scorer:
        scorer = self._application.scoring.extended_scorer(facts, extra_metrics(self._config))
        return answers.score(scorer, self._rows, said, self._application, kept)

    def _paired(
        self, challenger: Scorer, champion: Scorer, metrics: list[str], rows: int
    ) -> tuple[MetricComparison, ...]:
        samples = self._config.evaluation.bootstrap_samples
        confidence = self._config.gate.confidence_level
        scoring, data = self._application.scoring, self._config.data
        limits = {name: scoring.limits(data, name) for name in metrics}
        return paired.compare(challenger, champion, limits, rows, samples, confidence)

    def _slices(
        self, challenger: Scorer, champion: Scorer, kept: answers.Mask
    ) -> list[paired.Slice]:
        masks = pd.read_parquet(self._evaluated.answers / SLICES)
        primary_metric, bounds = self._evaluated.primary_metric, self._config.gate.slices
        found = (
            paired.slice_of(
                challenger, champion, primary_metric, str(name), mask.to_numpy()[kept], bounds
            )
            for name, mask in masks.items()
        )
        # Rare values together are not a declared group.
        return [replace(o, judged=False, failed=False) if slices.rare(o.name) else o for o in found]


def _mcnemar(challenger: Scorer, champion: Scorer) -> float | None:
    ours, theirs = challenger.correctness(), champion.correctness()
    if ours is None or theirs is None:
        return None
    return paired.mcnemar(ours.astype(np.bool_), theirs.astype(np.bool_))
