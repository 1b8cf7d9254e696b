from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import DebertaV2Config, DebertaV2Model

from configs.errors import ModelError
from configs.model import Model, Scratch
from configs.values import Activation
from tasks.applications.base import Head
from tasks.training.model import build as building
from tasks.training.model import tokenizers
from tasks.training.model.spec import ModelSpec
from tests.support.models import LONGEST, tiny_bert
from tests.support.rows import words

KERNELS = [
    name
    for name in get_args(Model.model_fields["attn_implementation"].annotation)
    if name != "auto"
]
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": nn.functional.relu,
    "elu": nn.functional.elu,
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "leaky_relu": nn.functional.leaky_relu,
    "mish": nn.functional.mish,
    "relu2": lambda x: nn.functional.relu(x) ** 2,
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
}
ARCHITECTURES: dict[str, Head] = {
    "encoder": "sequence-classification",
    "decoder": "causal",
    "encoder-decoder": "seq2seq",
}
FEED_FORWARD = {
    "encoder": ("bert.encoder.layer.0.intermediate.intermediate_act_fn"),
    "decoder": "transformer.h.0.mlp.act",
    "encoder-decoder": "model.encoder.layers.0.activation_fn",
}
ATTENTIONS = {
    "encoder": [("bert.encoder.layer.1.attention", "self.query self.key self.value output.dense")],
    "decoder": [("transformer.h.1.attn", "c_attn c_proj")],
    "encoder-decoder": [
        ("model.encoder.layers.1.self_attn", "q_proj k_proj v_proj out_proj"),
        ("model.decoder.layers.1.self_attn", "q_proj k_proj v_proj out_proj"),
        ("model.decoder.layers.1.encoder_attn", "q_proj k_proj v_proj out_proj"),
    ],
}
CAUSAL = ("transformer.h.1.attn", "model.decoder.layers.1.self_attn")
HEADS, LENGTHS = 4, (9, 5)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pretrained BERT, and beside it a tokenizer for what models write."""
    folder = tiny_bert(tmp_path_factory.mktemp("models") / "bert")
    tokenizers.train(words() * 9, "wordpiece", 300, folder.with_name("writes"), writes=True)
    return folder


def specify(folder: Path, head: Head = "sequence-classification", **fields: Any) -> ModelSpec:
    """The specification of a model: by default a pretrained one."""
    known: dict[str, Any] = {"base": str(folder), "decoder": None, "scratch": None, "vectors": None}
    known |= {"tokenizer": str(folder), "target": None, "prefix": "", "token_types": True}
    known |= {"max_length": LONGEST, "max_target_length": 16, "languages": ("en", "zh")}
    return ModelSpec(head=head, **known | fields)


def build(spec: ModelSpec, *kernels: str, **section: Any) -> building.BuiltModel:
    """The model that training would get, without dropout at work."""
    torch.manual_seed(0)
    arguments = {"num_labels": 3} if spec.head == "sequence-classification" else {}
    model = Model.model_validate(section)
    built = building.build(spec, model, spec.codec(), arguments, kernels or ("eager",))
    built.model.eval()
    return built


def scratch(base: Path, architecture: str, **fields: Any) -> ModelSpec:
    """A declared model of two layers."""
    shape = {"num_layers": 2, "hidden_size": 32, "num_heads": HEADS, "intermediate_size": 48}
    declared = Scratch.model_validate({"architecture": architecture, **shape})
    known = {"base": None, "scratch": declared} | fields
    if architecture != "encoder":
        known["tokenizer"] = str(base.with_name("writes"))
    return specify(base, ARCHITECTURES[architecture], **known)


def inputs(model: nn.Module) -> dict[str, torch.Tensor]:
    """Two rows of different lengths, padded on the right, and as targets the same tokens."""
    ids = torch.randint(5, 90, (2, LENGTHS[0]), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(LENGTHS[0]) < torch.tensor(LENGTHS)[:, None]).long()
    found = {"input_ids": ids, "attention_mask": mask}
    if model.config.model_type == "mbart":
        found["decoder_input_ids"] = ids.flip(0)
    return found


def seen(model: nn.Module, place: str, parts: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Queries, keys and values of an attention layer, and what its output layer gets."""
    *projections, output = (model.get_submodule(f"{place}.{part}") for part in parts.split())
    found: dict[int, torch.Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, at=at: found.update({at: out}))
        for at, module in enumerate(projections)
    ]
    hooks.append(output.register_forward_pre_hook(lambda _, got: found.update({-1: got[0]})))
    with torch.no_grad():
        model(**inputs(model))
    for hook in hooks:
        hook.remove()
    context = found.pop(-1)
    triple = [found[at] for at in sorted(found)]
    return list(triple[0].chunk(3, -1)) if len(triple) == 1 else triple, context


def formula(triple: list[torch.Tensor], *, causal: bool) -> torch.Tensor:
    """softmax(QKᵀ/√d_k)V by head (Vaswani et al. 2017, equation 1), padding left out."""
    width = triple[0].shape[-1] // HEADS
    query, key, value = (t.unflatten(-1, (HEADS, width)).transpose(1, 2) for t in triple)
    scores = query @ key.transpose(-1, -2) / math.sqrt(width)
    seen_keys = torch.arange(key.shape[2]) < torch.tensor(LENGTHS)[:, None]
    if causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    if not causal or key.shape[2] != query.shape[2]:
        scores = scores.masked_fill(~seen_keys[:, None, None], -math.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def test_every_kernel_is_offered() -> None:
    assert KERNELS == ["eager", "sdpa"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("architecture", "place", "parts"),
    [(name, *layer) for name, layers in ATTENTIONS.items() for layer in layers],
)
def test_attention_is_its_formula(
    base: Path, kernel: str, architecture: str, place: str, parts: str
) -> None:
    model = build(scratch(base, architecture), kernel).model.double()
    assert model.config._attn_implementation == kernel
    triple, context = seen(model, place, parts)
    expected = formula(triple, causal=place in CAUSAL)
    real = [slice(0, length) for length in LENGTHS]
    for row, rows in enumerate(real):
        torch.testing.assert_close(
            context.flatten(2)[row, rows], expected[row, rows], rtol=0, atol=1e-12
        )


def test_a_declared_kernel_that_a_family_lacks_is_refused(base: Path, tmp_path: Path) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = DebertaV2Config(**shape, intermediate_size=16, vocab_size=300)
    DebertaV2Model(config).save_pretrained(tmp_path)
    spec = specify(base, base=str(tmp_path))
    with pytest.raises(
        ModelError,
        match=r"model\.attn_implementation: the model has no 'sdpa' attention.*auto or eager",
    ):
        build(spec, "sdpa")
    assert build(spec, "sdpa", "eager").model.config._attn_implementation == "eager"


def test_the_reference_knows_every_activation() -> None:
    assert set(ACTIVATIONS) == set(get_args(Activation))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_declared_activation_is_computed(base: Path, architecture: str, name: str) -> None:
    model = build(scratch(base, architecture), activation=name, change_activation=True).model
    used = model.get_submodule(FEED_FORWARD[architecture])
    values = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(used(values), ACTIVATIONS[name](values), rtol=0, atol=1e-5)


def test_another_activation_keeps_the_weights_and_changes_the_outputs(base: Path) -> None:
    plain = build(specify(base)).model
    changed = build(specify(base), activation="relu", change_activation=True).model
    weights = changed.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in plain.state_dict().items())
    with torch.no_grad():
        first, second = plain(**inputs(plain)).logits, changed(**inputs(changed)).logits
    assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_declared_dropout_is_in_every_layer(base: Path, architecture: str) -> None:
    for declared, expected in ((0.37, 0.37), (None, 0.1)):
        model = build(scratch(base, architecture), dropout=declared).model
        layers = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
        fields = ("attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "dropout")
        rates = [value for name, value in model.config.to_dict().items() if name in fields]
        assert rates
        assert {*layers, *rates} == {expected}


def test_the_dropout_of_a_pretrained_model_is_replaced(base: Path) -> None:
    model = build(specify(base), dropout=0.25).model
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.25}


def test_weights_are_those_of_the_checkpoint_and_the_head_is_fresh(base: Path) -> None:
    loaded = build(specify(base))
    found = loaded.model.state_dict()
    for name, value in load_file(base / "model.safetensors").items():
        assert torch.equal(found[f"bert.{name}"], value)
    assert set(loaded.fresh) == {"classifier.weight", "classifier.bias"}
    assert found["classifier.weight"].shape == (3, 32)


def test_the_declared_shape_is_built(base: Path) -> None:
    model = build(scratch(base, "encoder-decoder")).model
    names = dict(model.named_parameters())
    assert len(model.model.encoder.layers) == len(model.model.decoder.layers) == 2
    assert names["model.encoder.layers.0.fc1.weight"].shape == (48, 32)
    assert model.model.encoder.layers[0].self_attn.num_heads == HEADS
    vocabulary = len(scratch(base, "encoder-decoder").codec().tokenizer)
    assert model.get_input_embeddings().weight.shape == (vocabulary, 32)


def test_embeddings_start_from_the_vectors_that_cover_them(base: Path, tmp_path: Path) -> None:
    size = len(specify(base).codec().tokenizer)
    covered = torch.arange(size) % 3 == 0
    vectors = torch.randn(size, 32)
    file = tmp_path / "vectors.safetensors"
    save_file({"vectors": vectors, "covered": covered.to(torch.uint8)}, file)
    plain = build(scratch(base, "encoder")).model.get_input_embeddings().weight
    found = build(scratch(base, "encoder", vectors=str(file))).model.get_input_embeddings().weight
    assert torch.equal(found[covered], vectors[covered])
    assert torch.equal(found[~covered], plain[~covered])


def test_a_pair_reads_and_writes_with_its_halves(base: Path) -> None:
    loaded = build(specify(base, "seq2seq", decoder=str(base), target=str(base)))
    model, saved = loaded.model, load_file(base / "model.safetensors")
    for side in ("encoder", "decoder.bert"):
        found = model.get_submodule(side).embeddings.word_embeddings.weight
        assert torch.equal(found, saved["embeddings.word_embeddings.weight"])
    crossing = [name for name in loaded.fresh if "crossattention" in name]
    assert {name.split(".")[0] for name in loaded.fresh} == {"decoder"}
    assert len(crossing) == 2 * 10
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
