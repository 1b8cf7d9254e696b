from __future__ import annotations

import math
import random
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from tasks.finetuning import preflight
from tasks.store import files_below
from tasks.training import forecast
from tasks.training import preflight as inspection
from tasks.training.batching import Ints
from tasks.training.forecast import LinearFit
from tasks.training.optimization.optimizers import OPTIMIZERS
from tasks.training.session import Session
from tasks.training.step import optimizer_step
from tests.support.pipelines import CONSTANT, Prepared, Start

pytest_plugins = ["tests.support.fixtures"]


def weights(session: Session) -> torch.Tensor:
    return nn.utils.parameters_to_vector(session.learner.model.parameters()).detach().clone()


def longest_rows(session: Session, count: int) -> Ints:
    return np.argsort(-session.splits["train"].lengths, kind="stable")[:count]


def losses(session: Session) -> list[float]:
    return [
        optimizer_step(session.learner, [session.batch("train", rows) for rows in step]).loss
        for step in session.plan(0)[:5]
    ]


def test_preflight_takes_exactly_one_step_on_the_longest_batch(start: Start) -> None:
    inspected, stepped = (
        start(dropout=0.3, lr_scheduler=CONSTANT),
        start(dropout=0.3, lr_scheduler=CONSTANT),
    )
    before = weights(inspected)
    torch.manual_seed(5)
    report = inspection.inspect(inspected)
    torch.manual_seed(5)
    rows = longest_rows(stepped, 4)
    expected = optimizer_step(stepped.learner, [stepped.batch("train", rows)])
    assert torch.equal(weights(inspected), weights(stepped))
    assert not torch.equal(weights(inspected), before)
    assert (report["loss"], report["rows"]) == (expected.loss, 4)
    assert inspected.learner.schedule.last_epoch == 1
    assert report["longest"] == inspected.splits["train"].lengths.max()


def test_fresh_head_has_the_expected_loss(start: Start) -> None:
    report = inspection.inspect(start())
    assert report["expected_loss"] == pytest.approx(math.log(2))
    assert report["loss"] == pytest.approx(math.log(2), abs=0.1)


def test_groups_add_up_to_the_norm_before_clipping(start: Start) -> None:
    session = start(max_grad_norm=1e-3)
    report = inspection.inspect(session)
    groups = report["grad_norm_by_group"]
    assert math.hypot(*groups.values()) == pytest.approx(report["grad_norm"], rel=1e-5)
    assert report["grad_norm"] > 1e-2
    assert list(groups) == [
        "bert.embeddings.word_embeddings",
        "bert.embeddings.position_embeddings",
        "bert.embeddings.token_type_embeddings",
        "bert.embeddings.LayerNorm",
        "bert.encoder.layer.0",
        "bert.encoder.layer.1",
        "bert.pooler.dense",
        "classifier",
    ]


def test_frozen_and_dead_parameters_are_named(start: Start) -> None:
    session = start()
    model = session.learner.model
    assert inspection.inspect(start())["dead"] == []
    model.get_submodule("bert.encoder.layer.0.output").requires_grad_(False)
    model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    with torch.no_grad():
        model.get_parameter("bert.pooler.dense.weight").zero_()
        model.get_parameter("bert.pooler.dense.bias").fill_(100.0)
    report = inspection.inspect(session)
    assert report["frozen"] == [
        f"bert.encoder.layer.0.output.{name}"
        for name in ("dense.weight", "dense.bias", "LayerNorm.weight", "LayerNorm.bias")
    ]
    assert {"unused", "bert.pooler.dense.weight"} <= set(report["dead"])
    assert "classifier.weight" not in report["dead"]
    assert not set(report["dead"]) & set(report["frozen"])


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_adapters_are_not_dead_and_the_rest_is_frozen(start: Start, name: str) -> None:
    session = start(adapter={"name": name}, frozen_layers=1)
    report = inspection.inspect(session)
    assert report["dead"] == []
    names = {n for n, p in session.learner.model.named_parameters() if not p.requires_grad}
    assert set(report["frozen"]) == names
    assert "bert.encoder.layer.0.output.dense.weight" in names
    assert "bert.encoder.layer.1.output.dense.base_layer.weight" in names
    assert "bert.encoder.layer.0" not in report["grad_norm_by_group"]
    assert report["grad_norm_by_group"]["bert.encoder.layer.1"] > 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS.built_in)
def test_moments_are_those_of_trainable_weights(start: Start, optimizer: str) -> None:
    session = start(optimizer={"name": optimizer}, frozen_layers=1)
    expected = forecast.moment_bytes(session)
    if not OPTIMIZERS.load(optimizer).matrices:
        parameters = [p for p in session.learner.model.parameters() if p.requires_grad]
        moments = {"adafactor": 0, "adam": 2, "adamw": 2, "lion": 1, "sgd": 1}[optimizer]
        assert expected == 4 * moments * sum(p.numel() for p in parameters)
    step = [session.batch("train", np.arange(4))]
    optimizer_step(session.learner, step)
    kept = [
        value
        for entry in session.learner.optimizer.state.values()
        for value in entry.values()
        if isinstance(value, torch.Tensor) and value.ndim
    ]
    found = 4 * sum(value.numel() for value in kept)
    # Adafactor keeps a row and a column of each matrix.
    assert found == pytest.approx(expected, abs=4 * 64 * 40 if optimizer == "adafactor" else 0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": {"name": "muon"}, "ema_decay": 0.9},
        {"adapter": {"name": "dora", "dropout": 0.1}, "gradient_checkpointing": True},
    ],
)
def test_measuring_leaves_the_training_untouched(start: Start, settings: dict[str, object]) -> None:
    plain, measured = (start(dropout=0.3, **settings) for _ in range(2))
    torch.manual_seed(3)
    expected = losses(plain)
    torch.manual_seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    before = weights(measured)
    forecast.measure(measured)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]
    assert torch.equal(weights(measured), before)
    assert all(parameter.grad is None for parameter in measured.learner.model.parameters())
    assert losses(measured) == expected


def test_forecast_is_positive_and_grows_with_the_epochs(start: Start) -> None:
    short, long = (forecast.measure(start(epochs=epochs)) for epochs in (1, 200))
    for found in (short, long):
        assert min(asdict(found).values()) > 0
    assert (short.steps, long.steps) == (18, 3600)
    assert long.training_seconds > 5 * short.training_seconds


def test_line_goes_through_two_measurements() -> None:
    line = LinearFit.through((100, 300), (1.0, 2.0))
    assert line.total(np.array([100, 300])) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("tokens", "seconds"),
    [((100, 100), (1.0, 1.0)), ((100, 300), (2.0, 1.0)), ((5, 10), (1.0, 9.0))],
)
def test_line_is_never_negative(tokens: tuple[int, int], seconds: tuple[float, float]) -> None:
    line = LinearFit.through(tokens, seconds)
    assert line.base >= 0
    assert line.slope >= 0


def test_stage_reports_on_a_step_and_keeps_no_weights(prepared: Prepared) -> None:
    arguments = prepared.workspace, prepared.validated, prepared.tokenized, prepared.base
    report = preflight(prepared.config, *arguments)
    assert report["expected_loss"] == pytest.approx(math.log(2))
    assert report["loss"] == pytest.approx(math.log(2), abs=0.3)
    assert report["forecast"]["steps"] == 72
    assert report["threads"] == 1
    assert report["setup_seconds"] > 0
    names = {p.name for p in files_below(prepared.workspace.root / "stages" / "preflight")}
    assert names == {"job.json", "events.jsonl", "preflight.json", "worker.log", "manifest.json"}
