"""A training step without files: small models of every family, random rows, one learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from configs.schema import Training
from tasks.applications.base import Batch
from tasks.applications.shared.losses import cross_entropy_sum
from tasks.training.optimization import lr_scheduler, optimizers
from tasks.training.step import Learner, weight_average

VOCABULARY = 40
LABELS = 3
LAYERS = 3
DECODER_LAYERS = 2
BERT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
    "initializer_range": 0.1,
}
BART: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "encoder_layers": LAYERS,
    "decoder_layers": DECODER_LAYERS,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 24,
    "init_std": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}
GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 16,
    "n_layer": LAYERS,
    "n_head": 2,
    "n_positions": 24,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _pair() -> nn.Module:
    decoder = BertConfig(
        **BERT | {"num_hidden_layers": DECODER_LAYERS}, is_decoder=True, add_cross_attention=True
    )
    config = EncoderDecoderConfig.from_encoder_decoder_configs(BertConfig(**BERT), decoder)
    config.decoder_start_token_id, config.pad_token_id = 1, 0
    return EncoderDecoderModel(config)


def _distilbert() -> nn.Module:
    config = DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=16,
        n_layers=LAYERS,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=24,
        num_labels=LABELS,
        initializer_range=0.1,
    )
    return DistilBertForSequenceClassification(config)


def _deberta() -> nn.Module:
    config = DebertaV2Config(
        **BERT,
        num_labels=LABELS,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
    )
    return DebertaV2ForSequenceClassification(config)


def _t5() -> nn.Module:
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=LAYERS,
        num_decoder_layers=DECODER_LAYERS,
        num_heads=2,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "bart": lambda: BartForConditionalGeneration(BartConfig(**BART)),
    "bert": lambda: BertForSequenceClassification(BertConfig(**BERT, num_labels=LABELS)),
    "deberta-v2": _deberta,
    "distilbert": _distilbert,
    "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(**GPT2, num_labels=LABELS)),
    "gpt2-lm": lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
    "marian": lambda: MarianMTModel(MarianConfig(**BART)),
    "modernbert": lambda: ModernBertForSequenceClassification(
        ModernBertConfig(**BERT, num_labels=LABELS)
    ),
    "pair": _pair,
    "roberta": lambda: RobertaForSequenceClassification(
        RobertaConfig(**BERT | {"max_position_embeddings": 26}, num_labels=LABELS)
    ),
    "t5": _t5,
}


def build(name: str) -> Any:
    """A small random model; the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name]()


def inputs(model: Any, rows: int = 4, seed: int = 0) -> Batch:
    """Random token ids of shape (rows, 8), and what else the model needs for logits."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (rows, 8), generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.is_encoder_decoder:
        batch["decoder_input_ids"] = ids[:, :5]
    return batch


def batches(count: int, rows: int = 8) -> list[Batch]:
    """Rows whose label follows from their first token."""
    found = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(3, VOCABULARY, (rows, 6), generator=generator)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        found.append(batch | {"labels": ids[:, 0] % LABELS})
    return found


class MeanCrossEntropy:
    """Cross-entropy over rows with one label."""

    def weight(self, batch: Batch) -> torch.Tensor:
        """Rows."""
        return torch.tensor(float(len(batch["labels"])))

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over rows."""
        return cross_entropy_sum(outputs, batch["labels"])

    def expected_initial(self, outputs: torch.Tensor) -> float:
        """Not known."""
        return 0.0


def forward(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Logits."""
    logits: torch.Tensor = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits
    return logits


def learner(model: Any, *, total: int = 1000, **training: Any) -> Learner:
    """What a step needs, in float32 on the CPU."""
    section = Training.model_validate({"learning_rate": 1e-2, **training})
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    optimizer = optimizers.build(model, section)
    return Learner(
        model=model,
        forward=forward,
        objective=MeanCrossEntropy(),
        optimizer=optimizer,
        schedule=lr_scheduler.build(optimizer, section.lr_scheduler, total),
        accelerator=accelerator,
        max_grad_norm=section.max_grad_norm,
        average=weight_average(model, section.ema_decay),
    )
