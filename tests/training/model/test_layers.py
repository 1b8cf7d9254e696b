from __future__ import annotations

import pytest
import torch

from configs.errors import ModelError
from tasks.training.model import layers
from tasks.training.step import optimizer_step
from tests.support import learners

STACKS = {
    "bart": {"model.encoder": 3, "model.decoder": 2},
    "bert": {"bert.encoder": 3},
    "deberta-v2": {"deberta.encoder": 3},
    "distilbert": {"distilbert.transformer": 3},
    "gpt2": {"transformer": 3},
    "gpt2-lm": {"transformer": 3},
    "marian": {"model.encoder": 3, "model.decoder": 2},
    "modernbert": {"model": 3},
    "pair": {"encoder.encoder": 3, "decoder.bert.encoder": 2},
    "roberta": {"roberta.encoder": 3},
    "t5": {"encoder": 3, "decoder": 2},
}
DEPTHS = {
    "bart": {
        "model.shared.weight": 4,
        "model.encoder.embed_positions.weight": 4,
        "model.decoder.embed_positions.weight": 3,
        "model.decoder.layernorm_embedding.bias": 3,
        "model.encoder.layers.0.fc1.weight": 3,
        "model.decoder.layers.0.fc1.weight": 2,
        "model.decoder.layers.1.encoder_attn.k_proj.weight": 1,
    },
    "bert": {
        "bert.embeddings.LayerNorm.weight": 4,
        "bert.encoder.layer.0.output.dense.bias": 3,
        "bert.encoder.layer.2.output.dense.bias": 1,
        "bert.pooler.dense.weight": 0,
        "classifier.weight": 0,
    },
    "deberta-v2": {
        "deberta.encoder.rel_embeddings.weight": 4,
        "deberta.encoder.LayerNorm.weight": 4,
        "deberta.encoder.layer.1.output.LayerNorm.weight": 2,
        "pooler.dense.weight": 0,
    },
    "distilbert": {
        "distilbert.embeddings.word_embeddings.weight": 4,
        "distilbert.transformer.layer.1.ffn.lin1.weight": 2,
        "pre_classifier.weight": 0,
    },
    "gpt2": {
        "transformer.wte.weight": 4,
        "transformer.wpe.weight": 4,
        "transformer.h.0.attn.c_attn.weight": 3,
        "transformer.ln_f.weight": 0,
        "score.weight": 0,
    },
    "modernbert": {
        "model.embeddings.norm.weight": 4,
        "model.layers.2.mlp.Wo.weight": 1,
        "model.final_norm.weight": 0,
        "head.dense.weight": 0,
    },
    "pair": {
        "encoder.embeddings.word_embeddings.weight": 4,
        "decoder.bert.embeddings.word_embeddings.weight": 3,
        "encoder.encoder.layer.0.output.dense.weight": 3,
        "decoder.bert.encoder.layer.0.crossattention.self.key.weight": 2,
        "decoder.cls.predictions.transform.dense.weight": 0,
    },
    "t5": {
        "shared.weight": 4,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": 3,
        "encoder.block.2.layer.1.DenseReluDense.wi.weight": 1,
        "decoder.block.0.layer.2.DenseReluDense.wi.weight": 2,
        "decoder.final_layer_norm.weight": 0,
    },
}


def names(family: str) -> list[str]:
    return [name for name, _ in learners.build(family).named_parameters()]


@pytest.mark.parametrize("family", STACKS)
def test_stacks_are_found_with_the_encoder_first(family: str) -> None:
    assert list(layers.stacks(names(family)).items()) == list(STACKS[family].items())


@pytest.mark.parametrize("family", DEPTHS)
def test_depth_counts_from_the_top_of_its_own_stack(family: str) -> None:
    found = {name: layers.depth(name, STACKS[family]) for name in names(family)}
    assert {name: found[name] for name in DEPTHS[family]} == DEPTHS[family]


def test_model_without_layers_is_all_head() -> None:
    assert layers.stacks(["weight", "bias"]) == {}
    assert layers.depth("weight", {}) == 0


@pytest.mark.parametrize("family", STACKS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_embeddings_and_lowest_encoder_layers_are_frozen(family: str, count: int) -> None:
    model = learners.build(family)
    fixed = {name for name, p in model.named_parameters() if not p.requires_grad}
    layers.freeze(model, count)
    stack = next(iter(STACKS[family]))
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad} - fixed
    below = {f"{stack}.{kind}.{i}." for kind in ("layer", "layers", "h", "block") for i in range(3)}
    for name in names(family):
        inside = next((prefix for prefix in below if name.startswith(prefix)), None)
        if inside:
            assert (name in frozen) == (int(inside.split(".")[-2]) < count)
    others = {name for name in frozen if not name.startswith(tuple(below))}
    assert bool(others) == bool(count)
    assert all("decoder" not in name for name in frozen)
    assert not {name for name in others if layers.depth(name, STACKS[family]) == 0}


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ModelError, match="frozen_layers: expected at most 3, the layers of the m"):
        layers.freeze(learners.build("bert"), 4)
    with pytest.raises(ModelError, match="the layers of the encoder; found 4"):
        layers.freeze(learners.build("t5"), 4)


def test_frozen_weights_do_not_move() -> None:
    model = learners.build("bert")
    layers.freeze(model, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    learner = learners.learner(model, lr_scheduler={"name": "constant", "warmup_ratio": 0.0})
    for batch in learners.batches(3):
        optimizer_step(learner, [batch])
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    low = ("bert.embeddings.", "bert.encoder.layer.0.", "bert.encoder.layer.1.")
    assert same == {name for name in before if name.startswith(low)}


@pytest.mark.parametrize("family", STACKS)
def test_computing_activations_again_changes_no_gradient(family: str) -> None:
    found = []
    for again in (False, True):
        model = learners.build(family).train()
        if again:
            layers.recompute_activations(model)
        torch.manual_seed(7)
        logits = model(**learners.inputs(model)).logits
        loss = logits.pow(2).mean()
        loss.backward()
        found.append((loss.item(), [p.grad for p in model.parameters() if p.grad is not None]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert len(found[0][1]) == len(found[1][1]) > 0
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-7, rtol=1e-5)


def test_activations_are_not_kept() -> None:
    kept = []
    for again in (False, True):
        model = learners.build("bert").train()
        if again:
            layers.recompute_activations(model)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor, lambda t: t
        ):
            model(**learners.inputs(model))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_family_that_cannot_compute_again_is_refused() -> None:
    model = learners.build("bert")
    model.supports_gradient_checkpointing = False
    with pytest.raises(ModelError, match="a bert model cannot"):
        layers.recompute_activations(model)
