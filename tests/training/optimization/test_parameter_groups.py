from __future__ import annotations

from typing import Any

import pytest
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    T5Config,
)

from configs.schema import Training
from tasks.training.optimization.parameter_groups import parameter_groups
from tests.support import learners

SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
FAMILIES = {
    "bert": BertConfig(**SMALL),
    "deberta": DebertaConfig(**SMALL),
    "modernbert": ModernBertConfig(**SMALL, pad_token_id=0),
    "t5": T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2),
}


def groups_of(model: nn.Module, **training: object) -> list[dict[str, Any]]:
    return parameter_groups(model, Training.model_validate(training))


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_normalization_weights_are_not_decayed(family: str) -> None:
    config: PreTrainedConfig = FAMILIES[family]
    model = AutoModelForSequenceClassification.from_config(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = groups_of(model, optimizer={"weight_decay": 0.3})
    decayed, exempt = sorted(groups, key=lambda group: -group["weight_decay"])
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.3, 0.0)
    expected = {n for n in names.values() if n.endswith(".bias") or "norm" in n.lower()}
    assert expected
    assert {names[id(parameter)] for parameter in exempt["params"]} == expected
    assert len(decayed["params"]) + len(exempt["params"]) == len(names)


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model[0].weight.requires_grad_(False)
    (exempt,) = groups_of(model, optimizer={"weight_decay": 0.1})
    assert exempt["weight_decay"] == 0
    assert len(exempt["params"]) == 3


def test_without_layer_decay_there_is_one_rate() -> None:
    assert {g["lr"] for g in groups_of(learners.build("bert"), learning_rate=0.1)} == {0.1}
