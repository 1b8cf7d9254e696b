from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from configs.training import Adapter
from tasks.store import read_json
from tasks.training import events, loop, session
from tasks.training.events import EventLog
from tasks.training.job import BEST
from tasks.training.session import Session
from tests.support.pipelines import CONSTANT, Start

pytest_plugins = ["tests.support.fixtures"]


@pytest.fixture
def other_precision() -> Iterator[None]:
    """Accelerate allows one precision in a process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def train(current: Session) -> Path:
    """Run the loop to its end; return the folder of the best epoch."""
    with EventLog(current.folder) as log:
        loop.train(current, log)
    return current.folder / BEST


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def reopened(current: Session, folder: Path) -> Session:
    """A session whose base model is a folder that training kept."""
    training = current.job.training.model_copy(update={"adapter": Adapter(), "ema_decay": None})
    spec = replace(current.job.spec, base=str(folder))
    return session.build(replace(current.job, spec=spec, training=training), folder)


def test_average_is_kept_in_place_of_the_weights(start: Start) -> None:
    current = start(ema_decay=0.8, epochs=1, lr_scheduler=CONSTANT)
    saved = load_file(train(current) / "model.safetensors")
    assert current.learner.average is not None
    average = weights(current.learner.average.module)
    assert saved.keys() <= average.keys()
    assert all(torch.equal(tensor, average[name]) for name, tensor in saved.items())
    last = weights(current.learner.model)
    assert not torch.allclose(saved["classifier.weight"], last["classifier.weight"], atol=1e-4)


def test_average_is_measured_in_place_of_the_weights(start: Start) -> None:
    current = start(ema_decay=0.8, epochs=1, lr_scheduler=CONSTANT, dropout=0.3)
    folder = train(current)
    found = loop.evaluate(current, "validation").metrics
    expected = loop.evaluate(reopened(current, folder), "validation").metrics
    plain = loop.evaluate(
        replace(current, learner=replace(current.learner, average=None)), "validation"
    )
    assert found == pytest.approx(expected, abs=1e-6)
    assert found["loss"] != pytest.approx(plain.metrics["loss"], abs=1e-4)


def test_of_epochs_that_are_equally_good_the_first_is_kept(start: Start) -> None:
    current = start(epochs=5, learning_rate=1e-9, early_stopping_patience=2)
    record = read_json(train(current) / "best.json")
    found = [one for one in events.history(current.folder) if one["kind"] == "validation"]
    assert len({one["metrics"]["accuracy"] for one in found}) == 1
    assert [one["improved"] for one in found] == [True, False, False]
    assert record["epoch"] == 1


@pytest.mark.parametrize("name", ["lora", "dora"])
@pytest.mark.parametrize("ema", [None, 0.8])
def test_adapter_is_kept_merged(start: Start, name: str, ema: float | None) -> None:
    current = start(adapter={"name": name}, ema_decay=ema, epochs=1, learning_rate=1e-2)
    folder = train(current)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert not [key for key in load_file(folder / "model.safetensors") if "lora" in key]
    assert type(model).__name__ == "BertForSequenceClassification"
    found = loop.evaluate(current, "validation").metrics
    expected = loop.evaluate(reopened(current, folder), "validation").metrics
    assert found == pytest.approx(expected, abs=1e-5)


def test_best_folder_has_tokenizer_and_what_was_learned(start: Start) -> None:
    current = start(epochs=1)
    folder = train(current)
    record = read_json(folder / "best.json")
    measured = loop.evaluate(current, "validation")
    assert record == {
        "epoch": 1,
        "step": 18,
        "accuracy": measured.metrics["accuracy"],
        "learned": measured.learned,
    }
    assert AutoTokenizer.from_pretrained(folder).get_vocab()


@pytest.mark.usefixtures("other_precision")
@pytest.mark.parametrize("ema", [None, 0.5])
def test_half_precision_is_measured_alike(start: Start, ema: float | None) -> None:
    current = start(precision="bf16", epochs=1, ema_decay=ema)
    assert current.precision == "bf16"
    folder = train(current)
    found = loop.evaluate(current, "validation").metrics
    expected = loop.evaluate(reopened(current, folder), "validation").metrics
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("other_precision")
def test_adapter_is_kept_merged_in_half_precision(start: Start) -> None:
    current = start(precision="bf16", epochs=1, ema_decay=0.5, adapter={"name": "lora"})
    folder = train(current)
    found = loop.evaluate(current, "validation").metrics
    expected = loop.evaluate(reopened(current, folder), "validation").metrics
    assert found["loss"] == pytest.approx(expected["loss"], abs=0.02)
    assert load_file(folder / "model.safetensors")["classifier.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": {"name": "adafactor", "layerwise_lr_decay": 0.9}},
        {"optimizer": {"name": "lion"}, "lr_scheduler": {"name": "one_cycle", "warmup_ratio": 0.3}},
        {
            "optimizer": {"name": "muon"},
            "lr_scheduler": {"name": "inverse_sqrt", "warmup_ratio": 0.1},
        },
        {"frozen_layers": 1, "gradient_checkpointing": True, "ema_decay": 0.9},
        {"adapter": {"name": "dora"}, "frozen_layers": 1, "gradient_checkpointing": True},
    ],
)
def test_resumed_training_ends_in_the_same_weights(
    start: Start, tmp_path: Path, settings: dict[str, Any]
) -> None:
    def run(name: str) -> Session:
        current = start(epochs=2, dropout=0.2, save_steps=7, **settings)
        (tmp_path / name).mkdir(exist_ok=True)
        train(replace(current, folder=tmp_path / name))
        return current

    whole = run("whole")
    (last,) = (tmp_path / "whole" / "checkpoints").iterdir()
    assert read_json(last / "state.json")["position"]["step"] == 35
    resumed = run("whole")
    assert resumed.learner.schedule.last_epoch == 36
    for one, other in (
        (weights(whole.learner.model), weights(resumed.learner.model)),
        (weights(whole.learner.result), weights(resumed.learner.result)),
    ):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
