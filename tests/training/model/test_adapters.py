from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from configs.errors import ModelError
from configs.schema import Training
from configs.training import Adapter
from tasks.training.model import adapters, layers
from tasks.training.optimization.parameter_groups import parameter_groups
from tasks.training.step import optimizer_step
from tests.support import learners

ADAPTED = ("bart", "bert", "deberta-v2", "distilbert", "gpt2", "gpt2-lm", "pair", "roberta", "t5")
CONSTANT = {"name": "constant", "warmup_ratio": 0.0}


def adapted(family: str, **section: Any) -> Any:
    """A model with an adapter whose matrices have been moved away from their start."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = adapters.attach(learners.build(family), Adapter(**{"name": "lora"} | section))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(**learners.inputs(model)).logits
    return found


def trainable(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["lora", "dora"])
@pytest.mark.parametrize("family", ADAPTED)
def test_saved_merged_model_predicts_as_the_adapted_one(
    tmp_path: Path, family: str, name: str
) -> None:
    model = adapted(family, name=name)
    plain = learners.build(family).eval()
    expected = logits(model)
    assert not torch.allclose(expected, logits(plain), atol=1e-2)
    adapters.merged(model).save_pretrained(tmp_path)
    loaded = type(plain).from_pretrained(tmp_path).eval()
    assert loaded.state_dict().keys() == plain.state_dict().keys()
    assert torch.allclose(logits(loaded), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_merging_leaves_the_adapted_model_as_it_was(name: str) -> None:
    model = adapted("bert", name=name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    expected = logits(model)
    adapters.merged(model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert torch.equal(logits(model), expected)


def test_model_without_adapter_is_its_own_merger() -> None:
    model = learners.build("bert")
    assert adapters.attach(model, Adapter()) is model
    assert trainable(model) == {name for name, _ in model.named_parameters()}
    assert adapters.merged(model) is model


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_fresh_adapter_changes_nothing(name: str) -> None:
    model = learners.build("gpt2").eval()
    expected = logits(model)
    assert torch.allclose(logits(adapters.attach(model, Adapter(name=name))), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_training_moves_the_adapter_and_the_head_alone(name: str) -> None:
    model = adapters.attach(learners.build("bert"), Adapter(name=name, rank=2))
    before = copy.deepcopy(model.state_dict())
    learner = learners.learner(model, lr_scheduler=CONSTANT)
    for batch in learners.batches(3):
        optimizer_step(learner, [batch])
    moved = {key for key, tensor in model.state_dict().items() if not tensor.equal(before[key])}
    assert moved == trainable(model)
    assert moved == {key for key in before if "lora_" in key or key.startswith("classifier.")}
    assert ("lora_magnitude_vector" in "".join(moved)) == (name == "dora")


@pytest.mark.parametrize(
    ("family", "whole"),
    [
        ("bert", {"classifier"}),
        ("deberta-v2", {"pooler", "classifier"}),
        ("distilbert", {"pre_classifier", "classifier"}),
        ("gpt2", {"score"}),
        ("gpt2-lm", set()),
        ("modernbert", {"head", "classifier"}),
        ("roberta", {"classifier"}),
        ("t5", set()),
    ],
)
def test_head_is_trained_whole(family: str, whole: set[str]) -> None:
    model = adapters.attach(learners.build(family), Adapter(name="lora"))
    assert {n.split(".")[0] for n in trainable(model) if "lora_" not in n} == whole


def test_what_joins_a_pair_is_trained_whole() -> None:
    model = adapters.attach(learners.build("pair"), Adapter(name="lora"))
    whole = {name for name in trainable(model) if "lora_" not in name}
    crossing = {name for name, _ in learners.build("pair").named_parameters() if "cross" in name}
    assert whole == crossing


def test_parameters_without_pretrained_weights_are_trained_whole() -> None:
    fresh = ("bert.pooler", "bert.embeddings.word_embeddings.weight")
    model = adapters.attach(learners.build("bert"), Adapter(name="lora"), fresh)
    assert {name for name in trainable(model) if "lora_" not in name} == {
        "bert.embeddings.word_embeddings.weight",
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "classifier.weight",
        "classifier.bias",
    }


def test_every_linear_layer_is_adapted_by_default() -> None:
    model = adapters.attach(learners.build("bert"), Adapter(name="lora", rank=3, alpha=6.0))
    found = {name for name in trainable(model) if "lora_A" in name}
    assert len(found) == 6 * learners.LAYERS + 1
    assert {model.get_parameter(name).shape[0] for name in found} == {3}
    assert model.bert.encoder.layer[0].output.dense.scaling == {"default": 2.0}


def test_named_targets_alone_are_adapted() -> None:
    targets = ("query", "encoder.layer.1.output.dense")
    model = adapters.attach(learners.build("bert"), Adapter(name="lora", target_modules=targets))
    found = {name.split(".lora_A")[0] for name in trainable(model) if "lora_A" in name}
    queries = {f"bert.encoder.layer.{i}.attention.self.query" for i in range(learners.LAYERS)}
    assert found == queries | {"bert.encoder.layer.1.output.dense"}


def test_dropout_of_the_adapter_is_as_declared() -> None:
    model = adapters.attach(learners.build("bert"), Adapter(name="lora", dropout=0.3))
    assert model.bert.pooler.dense.lora_dropout["default"].p == 0.3


def test_frozen_layers_get_no_adapter() -> None:
    model = learners.build("bert")
    layers.freeze(model, 2)
    adapters.attach(model, Adapter(name="lora"))
    found = {name for name in trainable(model) if "lora_" in name}
    assert {layers.layer_of(name) for name in found} == {("bert.encoder", 2), None}
    assert not {name for name in trainable(model) if name.startswith("bert.embeddings")}


def test_unknown_target_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ModelError) as caught:
        adapters.attach(
            learners.build("bert"), Adapter(name="lora", target_modules=("query", "q_proj"))
        )
    message = str(caught.value)
    assert "training.adapter.target_modules" in message
    assert "found q_proj" in message
    assert "it has dense, key, query, value" in message


@pytest.mark.parametrize("target", ["classifier", "lm_head"])
def test_head_and_output_layer_are_no_targets(target: str) -> None:
    family = "bert" if target == "classifier" else "t5"
    with pytest.raises(ModelError, match=f"found {target}"):
        adapters.attach(learners.build(family), Adapter(name="lora", target_modules=(target,)))


def test_nothing_left_to_adapt_is_refused() -> None:
    model = learners.build("bert")
    layers.freeze(model, 2)
    section = Adapter(name="lora", target_modules=("encoder.layer.1.output.dense",))
    with pytest.raises(ModelError, match="expected a layer to adapt"):
        adapters.attach(model, section)


def test_layer_decay_reaches_adapters() -> None:
    model = adapters.attach(learners.build("bert"), Adapter(name="lora"))
    section = Training.model_validate(
        {"learning_rate": 0.1, "optimizer": {"layerwise_lr_decay": 0.5}}
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {
        names[id(parameter)]: group["lr"]
        for group in parameter_groups(model, section)
        for parameter in group["params"]
    }
    layer = "bert.encoder.layer.{}.output.dense.lora_B.default.weight"
    assert [rates[layer.format(i)] for i in range(3)] == [0.1 / 8, 0.1 / 4, 0.1 / 2]
    assert rates["classifier.weight"] == 0.1


def test_adapters_go_with_computing_activations_again() -> None:
    gradients = []
    for again in (False, True):
        model = adapted("t5").train()
        if again:
            layers.recompute_activations(model)
        torch.manual_seed(1)
        model(**learners.inputs(model)).logits.pow(2).mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-7, rtol=1e-5)


def test_adapted_model_generates() -> None:
    model = adapted("t5")
    ids = learners.inputs(model)["input_ids"]
    arguments: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False}
    found = model.generate(input_ids=ids, **arguments)
    assert torch.equal(adapters.merged(model).generate(input_ids=ids, **arguments), found)
