"""The special tokens of a model: padding, start and end of a text."""

from __future__ import annotations

from typing import Any, Final

from transformers import PreTrainedModel

from tasks.applications.codec import Codec
from tasks.training.model.spec import ModelSpec

KEPT: Final = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "bad_words_ids",
)
"""Generation settings that a pretrained seq2seq model keeps."""


def ids_of(codec: Codec, spec: ModelSpec) -> dict[str, int]:
    """The ids of the target tokenizer's special tokens, by configuration field."""
    tokenizer = codec.target
    first = _first(tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    end = _first(tokenizer.eos_token_id, tokenizer.sep_token_id)
    return {
        # A pair shifts its targets with one padding id: that of the target tokenizer.
        "pad_token_id": int(tokenizer.pad_token_id),
        "bos_token_id": first,
        "eos_token_id": end,
        # mBART, the family of models from scratch, moves a target's last token to the front.
        "decoder_start_token_id": first if spec.decoder else end,
    }


def set_ids(model: PreTrainedModel, codec: Codec, spec: ModelSpec) -> None:
    """Set the token ids in the configurations of a model, in place."""
    if spec.head == "seq2seq" and (spec.decoder or spec.scratch):
        ids = ids_of(codec, spec)
        for name, value in ids.items():
            setattr(model.config, name, value)
        _set_generation(model, **ids)
        return
    if spec.head != "seq2seq" or model.config.pad_token_id is None:
        # Classifiers of causal models look for the last token that is not padding.
        model.config.pad_token_id = codec.pad_id
    if spec.head == "causal":
        end = _first(codec.target.eos_token_id)
        _set_generation(model, pad_token_id=codec.pad_id, eos_token_id=end)
    elif spec.head == "seq2seq":
        _set_generation(model, **_own_ids(model) | _language_ids(codec))
        model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id


def _first(*ids: int | None) -> int:
    return next(int(value) for value in ids if value is not None)


def _set_generation(model: PreTrainedModel, **ids: Any) -> None:
    """Replace the generation settings: those of a checkpoint were for its own problem."""
    import transformers

    fresh: Any = transformers.GenerationConfig
    model.generation_config = fresh(**ids)


def _own_ids(model: PreTrainedModel) -> dict[str, Any]:
    """The token ids that the checkpoint was trained with."""
    both = (model.generation_config, model.config)
    found = {name: [getattr(config, name, None) for config in both] for name in KEPT}
    return {name: next((v for v in ids if v is not None), None) for name, ids in found.items()}


def _language_ids(codec: Codec) -> dict[str, int]:
    """The ids that tell a multilingual model its target language.

    Most models generate it first, after the end token. Models whose labels end with it, such as
    the first mBART, shift it to the front and start from it.
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
