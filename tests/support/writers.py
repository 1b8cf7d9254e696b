"""Tiny random models that write, of every family, each with a tokenizer of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    MBartTokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from tasks.applications.base import Batch
from tasks.applications.codec import Codec
from tasks.applications.shared.generation.parts import GenerationFacts
from tasks.applications.translation.application import APPLICATION as TRANSLATION
from tasks.training.model import tokenizers

FACTS = GenerationFacts(inputs=("source",), language="zh")
SOURCES = [
    "We open at nine.",
    "Please call us before you visit the shop, or write to us if nobody answers the phone!",
    "My parcel is late.",
    "Where is it?",
    "The blue jacket is too small, and the red one has not arrived yet.",
]
TARGETS = [
    "我们九点开门。",
    "来店里之前请给我们打电话，没人接就写信！",
    "我的包裹晚了。",
    "在哪里？",
    "蓝色的夹克太小了，红色的还没有到。",
]
LONGEST, LONGEST_TARGET = 112, 24
SIZE = 16
BERT = {
    "hidden_size": SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": LONGEST,
    "initializer_range": 0.5,
}
BART = {
    "d_model": SIZE,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": LONGEST,
    "init_std": 0.5,
    "forced_eos_token_id": None,
}
T5 = {
    "d_model": SIZE,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "initializer_factor": 3.0,
}
GPT2 = {
    "n_embd": SIZE,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": LONGEST + LONGEST_TARGET,
    "initializer_range": 0.5,
}
FAMILIES = ("t5", "mt5", "bart", "mbart", "marian", "pair", "gpt2")
MULTILINGUAL: dict[str, type[Any]] = {"mbart": MBartTokenizer, "mbart50": MBart50Tokenizer}


def texts_tokenizer(folder: Path, *, writes: bool) -> Any:
    """A tokenizer of both languages, trained on the texts."""
    return tokenizers.train([*SOURCES, *TARGETS] * 4, "unigram", 200, folder, writes=writes)


def multilingual_tokenizer(family: str, folder: Path) -> Path:
    """Save a tokenizer with mBART's language codes that knows the characters of the texts."""
    kind = MULTILINGUAL[family]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    characters = sorted(set("".join([*SOURCES, *TARGETS])) - {" "})
    codes = sorted(token for token in kind().get_vocab() if token[2:3] == "_")
    vocabulary = [*special, "▁", *characters, *codes, "<mask>"]
    kind(vocab=[(piece, -1.0) for piece in vocabulary]).save_pretrained(folder)
    return folder


def codec(family: str, folder: Path) -> Codec:
    """The tokenizers of a family's model."""
    target = None
    if family in MULTILINGUAL:
        saved = multilingual_tokenizer(family, folder)
        tokenizer = tokenizers.load(saved, exact=False, languages=("en", "zh"))
    elif family == "pair":
        tokenizer = texts_tokenizer(folder, writes=False)
        target = texts_tokenizer(folder / "target", writes=False)
    else:
        tokenizer = texts_tokenizer(folder, writes=family != "bart")
    head = "causal" if family == "gpt2" else "seq2seq"
    return Codec(tokenizer, target or tokenizer, head, LONGEST, LONGEST_TARGET)


@cache
def known_codec(family: str) -> Codec:
    """The codec of a family, made once."""
    with TemporaryDirectory() as folder:
        return codec(family, Path(folder))


@cache
def known_model(family: str) -> Any:
    """The model of a family, made once."""
    return model(family, known_codec(family))


def model(family: str, codec: Codec) -> Any:
    """A random model in eval mode; the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _model(family, codec).eval()


def _model(family: str, codec: Codec) -> Any:
    tokenizer = codec.tokenizer
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    if family == "t5":
        return T5ForConditionalGeneration(T5Config(**T5, **ids, decoder_start_token_id=1))
    if family == "mt5":
        return MT5ForConditionalGeneration(MT5Config(**T5, **ids, decoder_start_token_id=1))
    if family == "bart":
        return BartForConditionalGeneration(BartConfig(**BART, **ids, decoder_start_token_id=2))
    if family in MULTILINGUAL:
        config = MBartConfig(**BART, **ids)
        language = tokenizer.convert_tokens_to_ids("zh_CN")
        config.decoder_start_token_id = language if family == "mbart" else 2
        found = MBartForConditionalGeneration(config)
        if family == "mbart50":
            found.generation_config.forced_bos_token_id = language
        return found
    if family == "marian":
        return MarianMTModel(MarianConfig(**BART, **ids, decoder_start_token_id=1))
    if family == "gpt2":
        return GPT2LMHeadModel(GPT2Config(**GPT2, **ids))
    return _pair(codec, ids)


def _pair(codec: Codec, ids: dict[str, int]) -> Any:
    right = BertConfig(
        **BERT,
        **ids | {"vocab_size": len(codec.target)},
        is_decoder=True,
        add_cross_attention=True,
    )
    config = EncoderDecoderConfig.from_encoder_decoder_configs(BertConfig(**BERT, **ids), right)
    config.pad_token_id = codec.target.pad_token_id
    config.eos_token_id = codec.target.eos_token_id
    config.decoder_start_token_id = codec.target.cls_token_id
    return EncoderDecoderModel(config)


def batch(codec: Codec, rows: Sequence[int]) -> Batch:
    """Some of the texts, encoded and padded as for training."""
    chosen = {
        "source": [SOURCES[row] for row in rows],
        "target": [TARGETS[row] for row in rows],
    }
    encoded = TRANSLATION.tokens.encode(chosen, codec, FACTS)
    return dict(TRANSLATION.tokens.collate(pa.table(encoded.columns), codec))
