"""Read a pipeline file, with every check of it that needs no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.reading import load
from configs.schema import Pipeline
from tasks.applications import registry
from tasks.applications.registry import PIPELINES
from tasks.training import checks


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
    return load(file, PIPELINES, overrides, [checks.check, _metrics, _settings], settings)


def _metrics(config: Pipeline) -> Iterator[tuple[str, str]]:
    """Metrics that the application does not have, and values that a metric cannot reach."""
    metrics = registry.get(config.application).scoring.metrics(config.data)
    known = {metric.name: metric for metric in metrics}
    named = [("evaluation.primary_metric", config.evaluation.primary_metric)]
    named += [(f"gate.thresholds.{name}", name) for name in config.gate.thresholds]
    for where, name in named:
        if name is not None and name not in known:
            expected = f"expected a metric of {config.application} ({', '.join(known)})"
            yield where, f"{expected}, found {name!r}"
    for name, value in config.gate.thresholds.items():
        if name in known and not known[name].low <= value <= known[name].high:
            bounds = f"from {known[name].low:g} to {known[name].high:g}"
            where = f"gate.thresholds.{name}"
            yield where, f"expected a value {bounds}, the range of {name}, found {value:g}"


def _settings(config: Pipeline) -> Iterator[tuple[str, str]]:
    """Settings that make no sense for the application, and settings that exclude each other."""
    yield from registry.get(config.application).rules.check(config)
    training = config.training
    if training.loss.name == "focal" and training.loss.label_smoothing:
        yield "training.loss.label_smoothing", "`focal` has no smoothing: set it to 0"
    if config.schedule.retrain_when == "drift" and config.contract.drift.severity == "refuse":
        yield "schedule.retrain_when", "`drift` waits for what `contract.drift.severity` refuses"
    if config.model.scratch and training.adapter.name != "none":
        yield "training.adapter", "an adapter needs pretrained weights, and `scratch` has none"
    if config.model.scratch and training.frozen_layers:
        yield "training.frozen_layers", "frozen random weights learn nothing: set it to 0"
