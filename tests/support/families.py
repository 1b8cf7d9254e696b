"""Random models of two layers and a matching tokenizer, for each family that classifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
    T5Config,
)

from tasks.training.model import tokenizers
from tests.support.models import LONGEST, tiny_bert

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}
CONFIGS: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "bert": (BertConfig, SHAPE | {"max_position_embeddings": LONGEST}),
    # Its positions start after the padding id.
    "roberta": (RobertaConfig, SHAPE | {"max_position_embeddings": LONGEST + 1}),
    "distilbert": (
        DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "initializer_range": 0.3},
    ),
    "deberta-v2": (
        DebertaV2Config,
        SHAPE
        | {
            "max_position_embeddings": LONGEST,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
    ),
    "modernbert": (ModernBertConfig, SHAPE | {"max_position_embeddings": LONGEST}),
    "gpt2": (
        GPT2Config,
        {
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": LONGEST,
            "initializer_range": 0.3,
        },
    ),
    "t5": (
        T5Config,
        {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2},
    ),
}
FORMS = {
    "gpt2": ("$A", "$A $B", "[SEP]"),
    "t5": ("$A [SEP]", "$A [SEP] $B [SEP]", "[PAD]"),
}
"""How a text and a pair look where it is not as with BERT, and the padding token."""


def tiny_tokenizer(family: str, folder: Path) -> Any:
    """The tokenizer of a family: like BERT's, with its own special tokens."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(folder))
    if family in FORMS:
        single, pair, padding = FORMS[family]
        special = [("[SEP]", tokenizer.sep_token_id)]
        backend = tokenizer.backend_tokenizer
        backend.post_processor = TemplateProcessing(
            single=single, pair=pair, special_tokens=special
        )
        tokenizer.pad_token = padding
        tokenizer.cls_token = tokenizer.sep_token = None
    tokenizer.eos_token = "[SEP]"
    tokenizers.read_special_tokens_as_text(tokenizer)
    return tokenizer


def tiny_classifier(family: str, tokenizer: Any, **arguments: Any) -> torch.nn.Module:
    """A random classifier without dropout at work."""
    kind, fields = CONFIGS[family]
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if tokenizer.cls_token_id is not None:
        ids |= {"bos_token_id": tokenizer.cls_token_id, "cls_token_id": tokenizer.cls_token_id}
    if family == "t5":
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    config = kind(vocab_size=len(tokenizer), **fields, **ids)
    for name, value in arguments.items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: torch.nn.Module = AutoModelForSequenceClassification.from_config(config)
    return model.eval()
