"""Read a pipeline file, with every check of it that needs no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.reading import load
from configs.schema import Data, Pipeline
from tasks.contract.rules.cells import APPLICATION_RULES
from tasks.training import checks

SPECIAL = frozenset(
    {"answering", "generation", "language.target", "model.long_inputs", "model.max_target_length"}
) | {f"contract.rules.{rule}" for rule in APPLICATION_RULES}
"""Settings that not every application has a use for."""
PLAIN = Pipeline.model_construct(name="plain", application="topics", data=Data.model_construct())


def read(
    file: Path, overrides: Sequence[str] = (), settings: Mapping[str, Any] | None = None
) -> Pipeline:
    """Read a pipeline with every check that needs no data.

    Args:
        file: the YAML file; relative paths in the settings begin at its folder.
        overrides: ``dotted.key=value`` strings.
        settings: the pipeline as JSON values, in place of what the file says.

    Raises:
        ConfigError: with every problem that was found.
    """
    return load(file, overrides, [checks.check, _metric_names, _settings], settings)


def _metric_names(config: Pipeline) -> Iterator[tuple[str, str]]:
    from tasks.applications import registry as applications

    metrics = applications.get(config.application).scoring.metrics(config.data)
    known = [metric.name for metric in metrics]
    named = [("evaluation.primary_metric", config.evaluation.primary_metric)]
    named += [(f"gate.thresholds.{name}", name) for name in config.gate.thresholds]
    for where, name in named:
        if name is not None and name not in known:
            yield (
                where,
                f"expected a metric of {config.application} ({', '.join(known)}), found {name!r}",
            )


def _settings(config: Pipeline) -> Iterator[tuple[str, str]]:
    """What an application cannot do with a setting, and settings that exclude each other."""
    from tasks.applications import registry as applications

    training, application = config.training, applications.get(config.application)
    yield from application.rules.check(config)
    for where in SPECIAL - application.uses:
        declared, usual = _at(config, where), _at(PLAIN, where)
        if declared not in (usual, None):
            yield where, f"{application.name} has no use for it; leave it out"
    if training.loss.name == "focal" and training.loss.label_smoothing:
        yield "training.loss.label_smoothing", "`focal` has no smoothing: set it to 0"
    if config.schedule.retrain_when == "drift" and config.contract.drift.severity == "refuse":
        yield "schedule.retrain_when", "`drift` waits for what `contract.drift.severity` refuses"
    if config.model.scratch and training.adapter.name != "none":
        yield "training.adapter", "an adapter needs pretrained weights, and `scratch` has none"
    if config.model.scratch and training.frozen_layers:
        yield "training.frozen_layers", "frozen random weights learn nothing: set it to 0"


def _at(config: Pipeline, where: str) -> Any:
    value: Any = config
    for name in where.split("."):
        value = getattr(value, name)
    return value
