"""Build the model that is fine-tuned: pretrained, a pair of encoders, or from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from configs.errors import ModelError
from configs.language import _
from configs.model import Scratch
from configs.schema import Model
from tasks.applications.base import Head
from tasks.applications.codec import Codec
from tasks.training.model import special_tokens
from tasks.training.model.spec import ModelSpec

T = TypeVar("T")
AUTO_CLASSES: Final[dict[Head, str]] = {
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "causal": "AutoModelForCausalLM",
}
ACTIVATIONS: Final = (
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "activation",
    "dense_act_fn",
)
"""Configuration fields for the activation of the feed-forward layers."""
POOLER: Final = "pooler."


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model in float32, on the CPU, and the names of its parameters that start at random."""

    model: PreTrainedModel
    fresh: tuple[str, ...] = ()


def build(
    spec: ModelSpec,
    section: Model,
    codec: Codec,
    arguments: Mapping[str, Any],
    kernels: Sequence[str],
) -> BuiltModel:
    """Build the model in float32; weights that are not pretrained are drawn from torch's generator.

    Args:
        section: for dropout and activation.
        codec: for the ids of special tokens.
        arguments: configuration fields that the application sets.
        kernels: attention kernels; the first that the family supports is used.

    Raises:
        ModelError: the model supports none of the kernels, or its activation cannot be changed.
    """
    register_activations()
    if spec.scratch is not None:
        built = _from_scratch(spec, section, codec, arguments, kernels)
    elif spec.decoder is not None:
        built = _pair(spec, section, codec, kernels)
    else:
        config = _config(spec.base, section)
        config.update(dict(arguments))
        built = _pretrained(AUTO_CLASSES[spec.head], spec.base, config, kernels)
    special_tokens.set_ids(built.model, codec, spec)
    return built


def register_activations() -> None:
    """Register the activations that Transformers does not know by name."""
    from transformers.activations import ACT2FN

    ACT2FN.setdefault("elu", nn.ELU)


def _config(base: str | None, section: Model) -> PretrainedConfig:
    assert base is not None
    config: PretrainedConfig = AutoConfig.from_pretrained(base, local_files_only=True)
    if section.dropout is not None:
        _set_dropout(config, section.dropout)
    if section.activation is not None:
        _set_activation(config, section.activation)
    return config


def _set_dropout(config: PretrainedConfig, probability: float) -> None:
    """Set every dropout field that the configuration has."""
    for name, value in config.to_dict().items():
        is_number = isinstance(value, int | float | None) and not isinstance(value, bool)
        if ("dropout" in name or "pdrop" in name) and is_number:
            setattr(config, name, probability)


def _set_activation(config: PretrainedConfig, activation: str) -> None:
    if config.model_type in {"t5", "mt5"}:
        gated = "gated-" if config.is_gated_act else ""
        config.feed_forward_proj, config.dense_act_fn = gated + activation, activation
        return
    named = [name for name in ACTIVATIONS if isinstance(getattr(config, name, None), str)]
    if not named:
        message = _(
            "a {model_type} model declares no activation to change", model_type=config.model_type
        )
        raise ModelError.at("model.activation", message, _("leave it out"))
    setattr(config, named[0], activation)


def _pretrained(
    kind: str, base: str | None, config: PretrainedConfig, kernels: Sequence[str]
) -> BuiltModel:
    import transformers

    def load(kernel: str) -> BuiltModel:
        model, report = getattr(transformers, kind).from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            attn_implementation=kernel,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        mismatched = [entry[0] for entry in report["mismatched_keys"]]
        return BuiltModel(model, (*report["missing_keys"], *mismatched))

    return _with_attention(load, kernels)


def _with_attention(load: Callable[[str], T], kernels: Sequence[str]) -> T:
    """Load with the first of the kernels that the family supports."""
    for kernel in kernels:
        try:
            return load(kernel)
        except (ValueError, ImportError) as error:
            if "attention" not in str(error).lower():
                raise
    message = _("the model has no {kernels!r} attention", kernels=kernels[-1])
    raise ModelError.at("model.attn_implementation", message, _("use auto or eager"))


def _pair(spec: ModelSpec, section: Model, codec: Codec, kernels: Sequence[str]) -> BuiltModel:
    """An encoder-decoder of two encoders, with new cross-attention (Rothe et al. 2020)."""
    from transformers import EncoderDecoderModel

    encoder = _pretrained("AutoModel", spec.base, _config(spec.base, section), kernels)
    config = _config(spec.decoder, section)
    config.is_decoder, config.add_cross_attention = True, True
    if spec.target != spec.decoder:
        config.vocab_size = len(codec.target)
        config.pad_token_id = codec.target.pad_token_id
    decoder = _pretrained("AutoModelForCausalLM", spec.decoder, config, kernels)
    model = EncoderDecoderModel(encoder=encoder.model, decoder=decoder.model)
    for name, parameter in model.encoder.named_parameters():
        if name.startswith(POOLER):
            parameter.requires_grad_(False)
    return BuiltModel(model, tuple(f"decoder.{name}" for name in decoder.fresh))


def _from_scratch(
    spec: ModelSpec,
    section: Model,
    codec: Codec,
    arguments: Mapping[str, Any],
    kernels: Sequence[str],
) -> BuiltModel:
    import transformers

    assert spec.scratch is not None
    lengths = (spec.max_length, spec.max_target_length)
    positions = sum(lengths) if spec.head == "causal" else max(lengths)
    config = _scratch_config(spec.scratch, len(codec.tokenizer), positions, section)
    _set_dropout(config, 0.1 if section.dropout is None else section.dropout)
    ids = special_tokens.ids_of(codec, spec)
    if spec.head != "seq2seq":
        del ids["decoder_start_token_id"]
    config.update({**ids, **arguments})
    kind = getattr(transformers, AUTO_CLASSES[spec.head])

    def load(kernel: str) -> PreTrainedModel:
        model: PreTrainedModel = kind.from_config(
            config, attn_implementation=kernel, dtype=torch.float32
        )
        return model

    model = _with_attention(load, kernels)
    if spec.vectors is not None:
        _use_vectors(model, Path(spec.vectors))
    return BuiltModel(model)


def _scratch_config(
    scratch: Scratch, vocabulary: int, positions: int, section: Model
) -> PretrainedConfig:
    """The configuration of a declared model with a number of tokens and of positions."""
    from transformers import BertConfig, GPT2Config, MBartConfig

    layers, heads, size = scratch.num_layers, scratch.num_heads, scratch.hidden_size
    inner = scratch.intermediate_size or 4 * size
    if scratch.architecture == "encoder":
        return BertConfig(
            vocab_size=vocabulary,
            hidden_size=size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=positions,
            hidden_act=section.activation or "gelu",
        )
    if scratch.architecture == "decoder":
        return GPT2Config(
            vocab_size=vocabulary,
            n_embd=size,
            n_layer=layers,
            n_head=heads,
            n_inner=inner,
            n_positions=positions,
            activation_function=section.activation or "gelu_new",
        )
    return MBartConfig(
        vocab_size=vocabulary,
        d_model=size,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=positions,
        activation_function=section.activation or "gelu",
        scale_embedding=True,
    )


def _use_vectors(model: PreTrainedModel, path: Path) -> None:
    """Initialize the input embeddings of the words that have vectors in a file, in place."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    covered = tensors["covered"].bool()
    embeddings: Any = model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[: len(covered)][covered] = tensors["vectors"][covered]
