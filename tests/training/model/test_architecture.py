from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2Model,
    PegasusConfig,
    PegasusForConditionalGeneration,
)

from configs.errors import ModelError
from configs.schema import Model
from tasks.applications.base import Head
from tasks.training.model import architecture, initial_model
from tests.support.models import tiny_bert

CLASSIFIER: Head = "sequence-classification"
TOGETHER = "(take config.json and the weights from one save_pretrained())"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A tiny BERT, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "bert"))


def check(folder: Path, head: Head = CLASSIFIER, application: str = "topics") -> None:
    architecture.check(initial_model.find(Model(base=str(folder)), application), head)


def refused(folder: Path, head: Head = CLASSIFIER) -> list[str]:
    with pytest.raises(ModelError) as caught:
        check(folder, head)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def set_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change(folder: Path, rename: Callable[[str], str]) -> None:
    """Rename the tensors of the weights."""
    tensors = load_file(folder / "model.safetensors")
    save_file({rename(name): t for name, t in tensors.items()}, folder / "model.safetensors")


@pytest.mark.parametrize("head", [CLASSIFIER, "token-classification", "question-answering"])
def test_a_model_that_lacks_only_the_new_head_fits(original: Path, head: Head) -> None:
    check(original, head)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("LayerNorm.weight", "LayerNorm.gamma"),
        ("LayerNorm.bias", "LayerNorm.beta"),
        ("encoder.", "bert.encoder."),
    ],
)
def test_names_that_transformers_translates_fit(folder: Path, old: str, new: str) -> None:
    change(folder, lambda name: name.replace(old, new))
    check(folder)


def test_a_model_saved_with_the_head_of_another_problem_fits(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["pooler.dense.weight"], tensors["pooler.dense.bias"]
    tensors = {f"bert.{name}": tensor for name, tensor in tensors.items()}
    tensors |= {
        "cls.predictions.bias": torch.zeros(7),
        "classifier.weight": torch.zeros(9, 32),
        "bert.embeddings.position_ids": torch.arange(48)[None],
    }
    save_file(tensors, folder / "model.safetensors")
    check(folder)


def test_tensors_of_another_shape_are_named_with_both_shapes(folder: Path) -> None:
    rows = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"].shape[0]
    set_config(folder, vocab_size=rows + 6, max_position_embeddings=66)
    where = f"{folder / 'model.safetensors'}: bert.embeddings"
    assert refused(folder) == [
        f"{where}.position_embeddings.weight: config.json declares shape [66, 32], "
        f"the weights have [48, 32] {TOGETHER}",
        f"{where}.word_embeddings.weight: config.json declares shape [{rows + 6}, 32], "
        f"the weights have [{rows}, 32] {TOGETHER}",
    ]


def test_layers_that_the_weights_lack_are_named_and_counted(folder: Path) -> None:
    set_config(folder, num_hidden_layers=3)
    problems = refused(folder)
    assert problems[0] == (
        f"{folder / 'model.safetensors'}: bert.encoder.layer.2.attention.output.LayerNorm.bias: "
        f"config.json declares shape [32], the weights lack it {TOGETHER}"
    )
    # A layer of BERT has sixteen tensors.
    assert len(problems) == architecture.SHOWN + 1
    assert problems[-1].endswith("and 8 other tensors do not fit")


def test_layers_that_the_config_lacks_are_named(folder: Path) -> None:
    set_config(folder, num_hidden_layers=1)
    problems = refused(folder)
    assert "encoder.layer.1.attention.output.LayerNorm.bias: config.json" in problems[0]
    assert "declares no such layer, the weights have shape [32]" in problems[0]


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    set_config(folder, model_type="distilbert")
    assert "distilbert.transformer.layer.0" in "\n".join(refused(folder))


@pytest.mark.parametrize(
    ("rename", "added"),
    [
        (lambda name: f"module.{name}", "module"),
        (lambda name: f"_orig_mod.module.{name}", "_orig_mod.module"),
        (lambda name: f"model.bert.{name}", "model"),
        (lambda name: f"0.auto_model.{name}", "0.auto_model"),
        (lambda name: name.replace("encoder.", "encoder._orig_mod."), "_orig_mod"),
    ],
)
def test_names_that_a_wrapper_changed_are_explained(
    folder: Path, rename: Callable[[str], str], added: str
) -> None:
    change(folder, rename)
    (problem,) = refused(folder)
    assert f"the names of the weights have {added!r} added, as a wrapper of models does" in problem
    assert "save the model inside of the wrapper" in problem


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_that_are_not_finite_are_counted(
    folder: Path, value: float, dtype: torch.dtype
) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.dense.bias"][3:5] = value
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors")
    (problem,) = refused(folder)
    assert "encoder.layer.0.output.dense.bias: 2 values are NaN or infinite" in problem


@pytest.mark.parametrize("field", ["hidden_size", "num_attention_heads", "hidden_act"])
def test_a_field_that_is_null_is_named(folder: Path, field: str) -> None:
    set_config(folder, **{field: None})
    (problem,) = refused(folder)
    assert problem.startswith(f"{folder / 'config.json'}: no bert model can be built from it: ")
    assert field in problem


def test_all_problems_are_told_at_once(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["[a]", "[b]", "[c]", "[d]"])
    tokenizer.save_pretrained(folder)
    set_config(folder, max_position_embeddings=66)
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    shape, finite, tokens = refused(folder)
    assert ("[66, 32]" in shape, "NaN" in finite, "tokens" in tokens) == (True, True, True)


def test_a_model_that_writes_needs_its_head(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=16)
    GPT2Model(config).save_pretrained(folder)
    # Its output layer is tied to its embeddings.
    check(folder, "causal", "translation")
    set_config(folder, tie_word_embeddings=False)
    (problem,) = refused(folder, "causal")
    assert "lm_head.weight: config.json declares shape" in problem


def test_both_sides_of_a_pair_are_compared(folder: Path) -> None:
    model = Model.model_validate({"base": str(folder), "decoder": {"base": str(folder)}})
    pair = initial_model.find(model, "translation")
    architecture.check(pair, "seq2seq")
    set_config(folder, max_position_embeddings=66)
    with pytest.raises(ModelError) as caught:
        architecture.check(initial_model.find(model, "translation"), "seq2seq")
    assert len(caught.value.problems) == 2


def test_masks_that_were_saved_with_the_weights_are_no_layers(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=16)
    GPT2Model(config).save_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    lowest = torch.tensor(float("-inf"))
    masks = {"h.0.attn.bias": torch.ones(1, 1, 16, 16), "h.0.attn.masked_bias": lowest}
    save_file(saved | masks, folder / "model.safetensors")
    check(folder, "causal", "translation")
    save_file(saved | {"h.0.attn.c_extra.bias": torch.ones(2)}, folder / "model.safetensors")
    assert "h.0.attn.c_extra.bias: config.json declares no such" in refused(folder, "causal")[0]


def test_tables_that_a_model_computes_need_not_be_saved(folder: Path) -> None:
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 8, "max_position_embeddings": 16}
    heads = {"encoder_attention_heads": 1, "decoder_attention_heads": 1}
    rows = len(AutoTokenizer.from_pretrained(folder))
    config = PegasusConfig(vocab_size=rows, encoder_ffn_dim=8, decoder_ffn_dim=8, **sizes, **heads)
    PegasusForConditionalGeneration(config).save_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in saved.items() if "embed_positions" not in name}
    assert len(kept) < len(saved)
    save_file(kept, folder / "model.safetensors")
    check(folder, "seq2seq", "summarization")
