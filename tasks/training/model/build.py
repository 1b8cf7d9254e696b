"""Build the model that is fine-tuned: pretrained, a pair of encoders, or from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from configs.errors import ModelError, Problem
from configs.schema import Model, Scratch
from tasks.applications.base import Head
from tasks.applications.codec import Codec
from tasks.training.model.start import Start

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
"""How families name the activation of their feed-forward layers."""
POOLER: Final = "pooler."
OWN: Final = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "bad_words_ids",
)
"""What a model that was trained to write keeps of its own generation settings."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, and which of its weights no checkpoint gave.

    Attributes:
        model: in float32, on the CPU.
        fresh: names of the parameters that start at random.
    """

    model: PreTrainedModel
    fresh: tuple[str, ...] = ()


def load(
    start: Start, section: Model, codec: Codec, arguments: Mapping[str, Any], attention: str
) -> Loaded:
    """Build the model in float32, with fresh weights from torch's generator where it has none.

    Args:
        start: where weights come from.
        section: the ``model`` section: dropout, activation.
        codec: the tokenizers, for the ids that the model has to know.
        arguments: fields of the configuration that the application decides.
        attention: the attention kernel; ``auto:NAME`` may fall back to ``eager``.

    Raises:
        ModelError: the model has no such attention kernel or activation.
    """
    register_activations()
    if start.scratch is not None:
        loaded = Loaded(_from_scratch(start, section, codec, arguments, attention))
    elif start.decoder is not None:
        loaded = _pair(start, section, codec, attention)
    else:
        assert start.base is not None
        config = _config(start.base, section)
        _apply(config, arguments)
        loaded = _pretrained(AUTO_CLASSES[start.head], start.base, config, attention)
    _tell_tokens(loaded.model, codec, start)
    return loaded


def register_activations() -> None:
    """Teach Transformers the activations that it does not know by name."""
    from transformers.activations import ACT2FN

    ACT2FN.setdefault("elu", nn.ELU)


def _config(base: str, section: Model) -> PretrainedConfig:
    config: PretrainedConfig = AutoConfig.from_pretrained(base, local_files_only=True)
    _set_dropout(config, section.dropout)
    _set_activation(config, section.activation)
    return config


def _apply(config: PretrainedConfig, arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        setattr(config, name, value)


def _set_dropout(config: PretrainedConfig, probability: float | None) -> None:
    """Set every dropout field that the configuration has."""
    if probability is None:
        return
    for name, value in config.to_dict().items():
        is_number = isinstance(value, int | float | None) and not isinstance(value, bool)
        if ("dropout" in name or "pdrop" in name) and is_number:
            setattr(config, name, probability)


def _set_activation(config: PretrainedConfig, activation: str | None) -> None:
    if activation is None:
        return
    if config.model_type in {"t5", "mt5"}:
        gated = "gated-" if config.is_gated_act else ""
        config.feed_forward_proj, config.dense_act_fn = gated + activation, activation
        return
    named = [name for name in ACTIVATIONS if isinstance(getattr(config, name, None), str)]
    if not named:
        message = f"a {config.model_type} model declares no activation to change"
        raise ModelError(Problem("model.activation", message, "leave it out"))
    setattr(config, named[0], activation)


def _pretrained(kind: str, base: str, config: PretrainedConfig, attention: str) -> Loaded:
    import transformers

    def build(kernel: str) -> Loaded:
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
        return Loaded(model, (*report["missing_keys"], *mismatched))

    return _with_attention(build, attention)


def _with_attention(build: Callable[[str], T], attention: str) -> T:
    """Build with the declared kernel, or with the best that the family has."""
    wanted = attention.removeprefix("auto:")
    try:
        return build(wanted)
    except (ValueError, ImportError) as error:
        if "attention" not in str(error).lower():
            raise
        if attention != wanted:
            return build("eager")
        message = f"the model has no {wanted!r} attention"
        raise ModelError(
            Problem("model.attn_implementation", message, "use auto or eager")
        ) from None


def _pair(start: Start, section: Model, codec: Codec, attention: str) -> Loaded:
    """An encoder that reads and one that writes, with fresh cross-attention (Rothe et al. 2020)."""
    from transformers import EncoderDecoderModel

    assert start.base is not None
    assert start.decoder is not None
    encoder = _pretrained("AutoModel", start.base, _config(start.base, section), attention)
    config = _config(start.decoder, section)
    config.is_decoder, config.add_cross_attention = True, True
    if start.target != start.decoder:
        config.vocab_size = len(codec.target)
        config.pad_token_id = codec.target.pad_token_id
    decoder = _pretrained("AutoModelForCausalLM", start.decoder, config, attention)
    model = EncoderDecoderModel(encoder=encoder.model, decoder=decoder.model)
    for name, parameter in model.encoder.named_parameters():
        if name.startswith(POOLER):
            parameter.requires_grad_(False)
    return Loaded(model, tuple(f"decoder.{name}" for name in decoder.fresh))


def _from_scratch(
    start: Start, section: Model, codec: Codec, arguments: Mapping[str, Any], attention: str
) -> PreTrainedModel:
    import transformers

    lengths = (start.max_length, start.max_target_length)
    positions = sum(lengths) if start.head == "causal" else max(lengths)
    config = scratch_config(
        Scratch.model_validate(start.scratch, strict=False),
        len(codec.tokenizer),
        positions,
        section,
    )
    ids = _token_ids(codec, start)
    if start.head != "seq2seq":
        del ids["decoder_start_token_id"]
    _apply(config, {**ids, **arguments})
    kind = getattr(transformers, AUTO_CLASSES[start.head])

    def build(kernel: str) -> PreTrainedModel:
        model: PreTrainedModel = kind.from_config(
            config, attn_implementation=kernel, dtype=torch.float32
        )
        return model

    model = _with_attention(build, attention)
    if start.vectors is not None:
        _use_vectors(model, Path(start.vectors))
    return model


def scratch_config(
    scratch: Scratch, vocabulary: int, positions: int, section: Model
) -> PretrainedConfig:
    """The configuration of a declared model.

    Args:
        scratch: its shape.
        vocabulary: tokens.
        positions: longest input or output in tokens.
        section: the ``model`` section, for dropout and activation.
    """
    from transformers import BertConfig, GPT2Config, MBartConfig

    size, inner = scratch.hidden_size, scratch.intermediate_size or 4 * scratch.hidden_size
    dropout = 0.1 if section.dropout is None else section.dropout
    config: PretrainedConfig
    if scratch.architecture == "encoder":
        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=size,
            num_hidden_layers=scratch.num_layers,
            num_attention_heads=scratch.num_heads,
            intermediate_size=inner,
            max_position_embeddings=positions,
            hidden_act=section.activation or "gelu",
        )
    elif scratch.architecture == "decoder":
        config = GPT2Config(
            vocab_size=vocabulary,
            n_embd=size,
            n_layer=scratch.num_layers,
            n_head=scratch.num_heads,
            n_inner=inner,
            n_positions=positions,
            activation_function=section.activation or "gelu_new",
        )
    else:
        config = MBartConfig(
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
    _set_dropout(config, dropout)
    return config


def _use_vectors(model: PreTrainedModel, path: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(path)
    covered = tensors["covered"].bool()
    embeddings: Any = model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[: len(covered)][covered] = tensors["vectors"][covered]


def _token_ids(codec: Codec, start: Start) -> dict[str, int]:
    """The ids of the special tokens of what the model writes, by their configuration fields."""
    tokenizer = codec.target
    first = _first(tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    end = _first(tokenizer.eos_token_id, tokenizer.sep_token_id)
    return {
        # A pair shifts its targets with one padding id: that of what it writes.
        "pad_token_id": int(tokenizer.pad_token_id),
        "bos_token_id": first,
        "eos_token_id": end,
        # The family of models from scratch shifts a target's last token to its front.
        "decoder_start_token_id": first if start.decoder else end,
    }


def _tell_tokens(model: PreTrainedModel, codec: Codec, start: Start) -> None:
    """Set the token ids that the model needs: padding, and where a text starts and ends."""
    if start.head == "seq2seq" and (start.decoder or start.scratch):
        _apply(model.config, _token_ids(codec, start))
        _set_generation(model, **_token_ids(codec, start))
        return
    if model.config.pad_token_id is None:
        model.config.pad_token_id = codec.pad_id
    if start.head == "causal":
        end = _first(codec.target.eos_token_id)
        _set_generation(model, pad_token_id=codec.pad_id, eos_token_id=end)
    elif start.head == "seq2seq":
        _set_generation(model, **_own_ids(model) | _language_ids(codec))
        model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id


def _first(*ids: int | None) -> int:
    return next(int(value) for value in ids if value is not None)


def _set_generation(model: PreTrainedModel, **ids: Any) -> None:
    """Start from a fresh configuration: what a checkpoint recommends was for its own problem."""
    import transformers

    fresh: Any = transformers.GenerationConfig
    model.generation_config = fresh(**ids)


def _own_ids(model: PreTrainedModel) -> dict[str, Any]:
    """The token ids that a checkpoint itself was trained with."""
    both = (model.generation_config, model.config)
    found = {name: [getattr(config, name, None) for config in both] for name in OWN}
    return {name: next((v for v in ids if v is not None), None) for name, ids in found.items()}


def _language_ids(codec: Codec) -> dict[str, int]:
    """Where a multilingual model has the language of its target.

    Most write it first, after the end token. Models whose labels end with it, such as the first
    mBART, shift it to the front, so that they start from it.
    """
    language = getattr(codec.target, "tgt_lang", None)
    if language is None:
        return {}
    known = codec.target.get_vocab()
    token = int(known.get(f"__{language}__", known.get(language)))
    if codec.target(text_target="")["input_ids"][-1] == token:
        return {"decoder_start_token_id": token}
    start = int(codec.target.eos_token_id)
    return {"decoder_start_token_id": start, "forced_bos_token_id": token}
