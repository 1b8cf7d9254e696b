"""Models from scratch: their configurations, and embeddings that start from word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from configs.schema import Model, Scratch


def config_of(
    scratch: Scratch, vocabulary: int, positions: int, section: Model
) -> PretrainedConfig:
    """The configuration of a declared model with a number of tokens and of positions."""
    from transformers import BertConfig, GPT2Config, MBartConfig

    size, inner = scratch.hidden_size, scratch.intermediate_size or 4 * scratch.hidden_size
    if scratch.architecture == "encoder":
        return BertConfig(
            vocab_size=vocabulary,
            hidden_size=size,
            num_hidden_layers=scratch.num_layers,
            num_attention_heads=scratch.num_heads,
            intermediate_size=inner,
            max_position_embeddings=positions,
            hidden_act=section.activation or "gelu",
        )
    if scratch.architecture == "decoder":
        return GPT2Config(
            vocab_size=vocabulary,
            n_embd=size,
            n_layer=scratch.num_layers,
            n_head=scratch.num_heads,
            n_inner=inner,
            n_positions=positions,
            activation_function=section.activation or "gelu_new",
        )
    return MBartConfig(
        vocab_size=vocabulary,
        d_model=size,
        encoder_layers=scratch.num_layers,
        decoder_layers=scratch.num_layers,
        encoder_attention_heads=scratch.num_heads,
        decoder_attention_heads=scratch.num_heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=positions,
        activation_function=section.activation or "gelu",
        scale_embedding=True,
    )


def use_vectors(model: PreTrainedModel, path: Path) -> None:
    """Initialize the input embeddings of the words that have vectors in a file, in place."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    covered = tensors["covered"].bool()
    embeddings: Any = model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[: len(covered)][covered] = tensors["vectors"][covered]
