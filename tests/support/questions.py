"""Tokenizers of every kind, tiny readers of every family, and questions for them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import CONFIG_MAPPING, AutoModelForQuestionAnswering, PreTrainedTokenizerFast

Row = dict[str, Any]
TEXTS = (
    "Parcels may be sent back within thirty days. The shop in Oslo opens at nine o'clock.",
    "  The café’s naïve owner paid €1,980.50 — “gladly” — in the 1980s…  ",
    "cafe\u0301 re\u0301sume\u0301 with combining marks, and a family 👨‍👩‍👧 who waved 👋🏽 twice",
    "退货须在三十天内办理。商店位于上海，九点开门！",
    "ร้านเปิดเวลาเก้าโมง и магазин закрыт по воскресеньям",
    "tabs\tand\nlines\u00a0and\u3000wide spaces",
)
KINDS = ("wordpiece", "bytes", "bytes with spaces", "unigram")
SIZE = 32
LONGEST = 128
COMMON = {
    "hidden_size": SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.5,
    "max_position_embeddings": LONGEST + 8,
}
FAMILIES: dict[str, tuple[str, Row]] = {
    "bert": ("wordpiece", COMMON),
    "roberta": ("bytes", COMMON),
    "distilbert": (
        "wordpiece",
        {"dim": SIZE, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "initializer_range": 0.5},
    ),
    "deberta-v2": ("unigram", COMMON | {"relative_attention": True, "pos_att_type": "p2c|c2p"}),
    "modernbert": ("bytes", COMMON | {"local_attention": 16, "cls_token_id": 0, "sep_token_id": 2}),
    "gpt2": (
        "bytes with spaces",
        {"n_embd": SIZE, "n_layer": 2, "n_head": 2, "n_positions": LONGEST},
    ),
    "t5": ("unigram", {"d_model": SIZE, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}),
}


@cache
def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A small tokenizer that knows pieces of the texts, and not all of their characters."""
    made, special = _made(kind)
    longest = LONGEST
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=longest, **special)


def _made(kind: str) -> tuple[Tokenizer, Row]:
    if kind == "wordpiece":
        special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(
            vocab_size=150,
            show_progress=False,
            limit_alphabet=60,
            special_tokens=["[PAD]", *special.values()],
        )
        made.train_from_iterator(TEXTS, trainer)
        ends = [(name, made.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
        made.post_processor = processors.BertProcessing(*ends)
        return made, special | {"pad_token": "[PAD]"}
    if kind.startswith("bytes"):
        made = Tokenizer(models.BPE())
        spaces = kind == "bytes with spaces"
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=330,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<s>", "<pad>", "</s>"],
        )
        made.train_from_iterator(TEXTS, trainer)
        if spaces:
            made.post_processor = processors.ByteLevel(trim_offsets=False)
            return made, {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}
        made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        return made, {
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
        }
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        show_progress=False,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
    )
    made.train_from_iterator(TEXTS[:3], trainer)
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[("</s>", 1)]
    )
    return made, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def reader(family: str) -> tuple[PreTrainedTokenizerFast, Any]:
    """A tokenizer and a random model of two layers for it."""
    kind, fields = FAMILIES[family]
    tokens = tokenizer(kind)
    special = {"pad_token_id": tokens.pad_token_id, "bos_token_id": 0, "eos_token_id": 2}
    config = CONFIG_MAPPING[family](vocab_size=len(tokens), **fields, **special)
    if family == "t5":
        config.decoder_start_token_id = 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForQuestionAnswering.from_config(config, attn_implementation="eager")
    return tokens, model.eval()


def stored(rows: list[tuple[str, str, str]], *, missing: tuple[int, ...] = ()) -> Row:
    """Columns as validation stores them, of (context, question, answer)."""
    return {
        "context": [context for context, _, _ in rows],
        "question": [question for _, question, _ in rows],
        "answer_texts": [[] if at in missing else [row[2]] for at, row in enumerate(rows)],
        "answer_starts": [
            [] if at in missing else [row[0].index(row[2])] for at, row in enumerate(rows)
        ],
    }


def questions() -> list[tuple[str, str, str]]:
    """Contexts of different lengths, a question and its answer."""
    first, second, third, fourth, *_ = TEXTS
    return [
        (first, "When must parcels come back?", "thirty days"),
        (first * 3, "Where is the shop?", "Oslo"),
        (second, "How much did the owner pay?", "€1,980.50"),
        (third, "What kind of marks?", "combining"),
        (third + second + first, "Who waved?", "a family 👨‍👩‍👧"),
        (fourth, "商店几点开门？", "九点"),
    ]
