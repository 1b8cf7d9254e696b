"""Read a pipeline file, with every check that needs no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.language import _
from configs.reading import load
from configs.schema import Pipeline
from tasks import metrics
from tasks.applications import registry
from tasks.applications.registry import PIPELINES
from tasks.applications.scoring import Metric
from tasks.applications.shared.losses import LOSSES
from tasks.extensions import Extensions
from tasks.metrics import METRICS
from tasks.training.launchers import LAUNCHERS
from tasks.training.model import families
from tasks.training.optimization.optimizers import OPTIMIZERS


def read(
    file: Path, overrides: Sequence[str] = (), settings: Mapping[str, Any] | None = None
) -> Pipeline:
    """Read and check a pipeline.

    Args:
        file: the YAML file; relative paths in the settings begin at its folder.
        overrides: ``dotted.key=value`` strings.
        settings: the pipeline as JSON values, in place of the content of the file.

    Raises:
        ConfigError: with every problem.
    """
    checks = families.check, _extensions, _metrics, _settings
    return load(file, PIPELINES, overrides, checks, settings)


def _extensions(config: Pipeline) -> Iterator[tuple[str, str]]:
    """An optimizer, a loss or a launcher that is not installed."""
    named = {
        "training.optimizer.name": OPTIMIZERS.refusal(config.training.optimizer.name),
        "training.loss.name": LOSSES.refusal(config.training.loss.name),
        "compute.launcher": LAUNCHERS.refusal(config.compute.launcher),
    }
    yield from ((field, reason) for field, reason in named.items() if reason)


def _metrics(config: Pipeline) -> Iterator[tuple[str, str]]:
    """Unknown metrics, and values that a metric cannot reach."""
    scoring = registry.get(config.application).scoring
    own = {metric.name: metric for metric in scoring.metrics(config.data)}
    for name in sorted(own.keys() & METRICS.names()):
        yield (
            "application",
            _(
                "an installed package and {application} both have `{name}`",
                application=config.application,
                name=name,
            ),
        )
    known: dict[str, Metric | metrics.RowMetric] = {**own}
    for where, name in _named_metrics(config):
        try:
            if reason := _metric_refusal(name, own, scoring.extensible(config.data)):
                yield where, reason
            elif name not in own:
                known[name] = metrics.load(name)
        except TypeError as error:
            yield where, str(error)
    for name, value in config.gate.thresholds.items():
        if name in known and not known[name].low <= value <= known[name].high:
            bounds = _("from {low:g} to {high:g}", low=known[name].low, high=known[name].high)
            where = f"gate.thresholds.{name}"
            yield (
                where,
                _(
                    "expected a value {bounds}, the range of {name}, found {value:g}",
                    bounds=bounds,
                    name=name,
                    value=value,
                ),
            )
    name = config.evaluation.primary_metric or scoring.primary_metric(config.data)
    if name in known and (width := known[name].high - known[name].low) < config.gate.min_gain:
        expected = _(
            "expected at most {width:g}, the width of the range of {name}", width=width, name=name
        )
        yield (
            "gate.min_gain",
            _("{expected}, found {min_gain:g}", expected=expected, min_gain=config.gate.min_gain),
        )


def _named_metrics(config: Pipeline) -> Iterator[tuple[str, str]]:
    """Each key that names a metric, and the metric."""
    if name := config.evaluation.primary_metric:
        yield "evaluation.primary_metric", name
    yield from (("evaluation.extra_metrics", name) for name in config.evaluation.extra_metrics)
    yield from ((f"gate.thresholds.{name}", name) for name in config.gate.thresholds)


def _metric_refusal(name: str, own: Mapping[str, Metric], extensible: bool) -> str:
    """Why the application has no such metric; empty if it has."""
    if extensible or name in own:
        return Extensions(METRICS.group, own).refusal(name)
    foreign = _("; a metric of a package needs rows with one label each")
    reason = _("expected one of {own}, found {name!r}", own=", ".join(own), name=name)
    return reason + foreign * (name in METRICS.names())


def _settings(config: Pipeline) -> Iterator[tuple[str, str]]:
    """Settings that do not apply to the application, and settings that exclude each other."""
    yield from registry.get(config.application).rules.check(config)
    training = config.training
    if training.loss.name == "focal" and training.loss.label_smoothing:
        yield "training.loss.label_smoothing", _("`focal` has no smoothing: set it to 0")
    if config.schedule.retrain_when == "drift" and config.contract.drift.severity == "refuse":
        yield "schedule.retrain_when", _("`drift` waits for what `contract.drift.severity` refuses")
    if config.model.scratch and training.adapter.name != "none":
        yield "training.adapter", _("an adapter needs pretrained weights, and `scratch` has none")
    if config.model.scratch and training.frozen_layers:
        yield "training.frozen_layers", _("frozen random weights learn nothing: set it to 0")
