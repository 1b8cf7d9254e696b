"""Hints at the end of a run: signs of too little training, and of results that vary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from configs.language import english
from configs.schema import Pipeline
from tasks.evaluation import EvaluationResult
from tasks.finetuning import FinetuningResult
from tasks.store import StoredOutput
from tasks.training import events

LEAST_STEPS: Final = 10
"""With fewer steps, their losses differ by chance."""
MOVED: Final = 0.05
"""Share of the first loss by which it has to change."""
MOST_LABELS: Final = 5
DIGITS: Final = 12
"""Of a digest, in hints."""


def find(config: Pipeline, tuned: FinetuningResult, evaluated: EvaluationResult) -> list[str]:
    """What suggests that the model was trained too little.

    The loss is no hint if the model is surely better than the trivial method anyway.
    """
    found = list(of_labels(config, evaluated.details))
    if not evaluated.baseline_gain.low > 0:
        losses = [record["loss"] for record in events.steps(tuned.stored.path)]
        found = [*of_losses(config, losses), *found]
    return found


def of_contents(stages: Mapping[str, StoredOutput]) -> Iterator[str]:
    """Stages that gave different outputs for the same inputs, in this home and at any time."""
    for name, stored in stages.items():
        *earlier, now = [content[:DIGITS] for content in stored.contents] or [""]
        if earlier:
            yield english(
                "not reproducible: {stage} has given different outputs for the same inputs, "
                "{earlier} before and {now} in this run; an extension, another version of a "
                "library or other hardware may be the cause",
                stage=name,
                earlier=", ".join(earlier),
                now=now,
            )


def of_losses(config: Pipeline, losses: Sequence[float]) -> Iterator[str]:
    """A training loss that has not fallen: the means of the first and the last fifth of steps."""
    known = [loss for loss in losses if isfinite(loss)]
    if len(known) < LEAST_STEPS:
        return
    part = len(known) // 5
    first, last = (sum(some) / part for some in (known[:part], known[-part:]))
    words = english(
        "undertrained: the training loss was {first:.4f} at first and {last:.4f} at last",
        first=first,
        last=last,
    )
    training = config.training
    if last > first * (1 + MOVED):
        yield english(
            "{words}; try a lower training.learning_rate than {learning_rate:g}",
            words=words,
            learning_rate=training.learning_rate,
        )
    elif last > first * (1 - MOVED):
        yield (
            english(
                "{words}; try more training.epochs than {training.epochs}, or a higher "
                "training.learning_rate than {training.learning_rate:g}",
                words=words,
                training=training,
            )
        )


def of_labels(config: Pipeline, details: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Labels that the model never gets right, though test rows have them."""
    counted = [row for row in details if row.get("support") and "f1" in row and "label" in row]
    missed = [str(row["label"]) for row in counted if row["f1"] == 0]
    if not missed:
        return
    more = (
        english(" and {missed} more", missed=len(missed) - MOST_LABELS)
        if len(missed) > MOST_LABELS
        else ""
    )
    ways = [
        english("more rows of them"),
        english("more training.epochs than {epochs}", epochs=config.training.epochs),
    ]
    weighted = getattr(config.data, "labelling", "") in ("single", "multiple")
    if weighted and config.training.loss.class_weights != "balanced":
        ways.append("training.loss.class_weights: balanced")
    yield (
        english(
            "undertrained: {missed} of {counted} labels have F1 0.0 "
            "({names}{more}); try {ways} or {last}",
            missed=len(missed),
            counted=len(counted),
            names=", ".join(missed[:MOST_LABELS]),
            more=more,
            ways=", ".join(ways[:-1]),
            last=ways[-1],
        )
    )
