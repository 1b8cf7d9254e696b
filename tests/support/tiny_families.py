"""Random models of nearly no size, of every family that Transformers can build from sizes alone."""

from __future__ import annotations

import dataclasses
import shutil
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import pyarrow as pa
import torch
import transformers
from torch import nn

from configs.model import Model
from configs.training import Loss
from tasks.applications import registry
from tasks.applications.base import Facts, Head
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.entities.serving import Model as EntityModel
from tasks.applications.questions.learning import QuestionFacts
from tasks.applications.questions.serving import Model as QuestionModel
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.shared.classification.serving import Model as ClassificationModel
from tasks.applications.shared.generation.parts import GenerationFacts
from tasks.applications.shared.generation.serving import Model as GenerationModel
from tasks.tokenization import _record_batch
from tasks.training.model import architecture, initial_model, positions, tokenizers
from tasks.training.model.build import AUTO_CLASSES, build
from tasks.training.model.spec import ModelSpec

LONGEST, TARGET = 24, 8
PAD: Final = 1
TINY = 16
SIZES: Final[dict[str, Any]] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size"), TINY),
    **dict.fromkeys(("input_embedding_size", "d_embed"), TINY),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_encoder_layers"), 1),
    "num_decoder_layers": 1,
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
    "num_key_value_heads": 2,
    **dict.fromkeys(("d_kv", "d_head", "head_dim"), TINY // 2),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff"), 32),
    **dict.fromkeys(("n_inner", "hidden_dim", "ffn_dim", "d_inner", "ffn_hidden_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 2),
    "num_experts_per_tok": 1,
    "moe_intermediate_size": TINY,
    "max_position_embeddings": LONGEST + 2,
    "n_positions": LONGEST + 2,
    "max_encoder_position_embeddings": LONGEST,
    "max_decoder_position_embeddings": LONGEST,
    "attention_window": 4,
    "type_vocab_size": 2,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "initializer_range": 0.3,
    "init_std": 0.3,
}
MOST_PARAMETERS: Final = 1_000_000
TEXTS: Final = ["the lamp <s>was</s> broken", "where is it " * LONGEST, "it is late"]
TARGETS: Final = ["broken", "where", "late </s> late"]
ROWS: Final[dict[Head, Mapping[str, list[Any]]]] = {
    "sequence-classification": {"text": TEXTS, "label": [0, 1, 0]},
    "token-classification": {
        "text": TEXTS,
        "entities": [[{"start": 4, "end": 8, "label": "thing"}], [], []],
    },
    "question-answering": {
        "question": ["what </s> broke?", "where?", "when?"],
        "context": TEXTS,
        "answer_texts": [["lamp"], ["it"], []],
        "answer_starts": [[4], [9], []],
    },
    "seq2seq": {"source": TEXTS, "target": TARGETS},
    "causal": {"source": TEXTS, "target": TARGETS},
}
APPLICATIONS: Final[dict[Head, str]] = {
    "sequence-classification": "topics",
    "token-classification": "entities",
    "question-answering": "questions",
    "seq2seq": "translation",
    "causal": "translation",
}
FACTS: Final[dict[Head, Facts]] = {
    "sequence-classification": ClassificationFacts(
        inputs=("text",),
        labelling="single",
        labels=("a", "b"),
        counts={"a": 2, "b": 1},
        rows=3,
        scale=None,
    ),
    "token-classification": EntityFacts(inputs=("text",), labels=("thing",), stride=4),
    "question-answering": QuestionFacts(
        inputs=("context", "question"),
        answered={"train": 2},
        unanswered={"train": 1},
        stride=4,
        max_answer_length=4,
        n_best=2,
        unanswerable=True,
    ),
    "seq2seq": GenerationFacts(inputs=("source",), language="en", languages=("en", "en")),
    "causal": GenerationFacts(inputs=("source",), language="en", languages=("en", "en")),
}
MODELS: Final[dict[Head, Any]] = {
    "sequence-classification": ClassificationModel,
    "token-classification": EntityModel,
    "question-answering": QuestionModel,
    "seq2seq": GenerationModel,
    "causal": GenerationModel,
}


@cache
def tokenizer_folder(*, writes: bool) -> Path:
    """A tokenizer with a piece for each special token and each letter."""
    folder = Path(mkdtemp())
    texts = [*TEXTS, *TARGETS, string.ascii_letters, string.punctuation] * 3
    tokenizers.train(texts, "unigram", 120, folder, writes=writes)
    return folder


def tiny(family: str, head: Head) -> Any:
    """A random model of a family, or None if these sizes do not make one."""
    kind = transformers.CONFIG_MAPPING[family]
    fields = {field.name for field in dataclasses.fields(kind)}
    auto: Any = getattr(transformers, AUTO_CLASSES[head])
    try:
        config = kind(vocab_size=120, **{k: v for k, v in SIZES.items() if k in fields})
        if config.is_encoder_decoder:
            config.decoder_start_token_id = 2
        with torch.device("meta"):
            if auto.from_config(config).num_parameters() > MOST_PARAMETERS:
                return None
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return auto.from_config(config)
    except Exception:
        # What these sizes contradict is as different as the families are.
        return None


def save(model: Any, head: Head, folder: Path) -> None:
    """Save a model with a tokenizer."""
    model.save_pretrained(folder)
    for path in tokenizer_folder(writes=head in ("seq2seq", "causal")).iterdir():
        shutil.copy(path, folder)


class Trial:
    """A base model on its way from its folder to an answer.

    Args:
        folder: of the base model.
        head: what it is fine-tuned with.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder, self.head = folder, head
        self.application = registry.get(APPLICATIONS[head])
        self.facts = FACTS[head]
        self.served: dict[torch.dtype, Any] = {}
        base = initial_model.find(Model(base=str(folder)), self.application.name)
        architecture.check(base, head)
        longest = positions.of(base).input or LONGEST
        if head == "causal":
            longest -= TARGET
        self.spec = ModelSpec(
            head=head,
            base=str(folder),
            decoder=None,
            tokenizer=str(folder),
            target=None,
            scratch=None,
            vectors=None,
            max_length=min(longest, LONGEST + 8),
            max_target_length=TARGET,
            token_types=False,
            prefix="",
            languages=("en", "en"),
        )
        self.codec = self.spec.codec()
        arguments = self.application.learning.model_arguments(self.facts)
        self.model = build(self.spec, Model(), self.codec, arguments, ("eager",)).model

    def step(self, precision: torch.dtype = torch.bfloat16) -> float:
        """Take a step on all rows at once; the loss before it."""
        learning = self.application.learning
        encoded = self.application.tokens.encode(ROWS[self.head], self.codec, self.facts)
        table = pa.Table.from_batches([_record_batch(encoded, 0)])
        batch = self.application.tokens.collate(table, self.codec)
        objective = learning.objective(self.facts, Loss())
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            outputs = learning.forward(self.model.train(), batch)
            loss = objective.total(outputs, batch) / objective.weight(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, error_if_nonfinite=True)
        with torch.no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-0.01)
        return float(loss.detach())

    def save(self) -> None:
        """Save the model as a training does."""
        self.model.save_pretrained(self.folder / "tuned")
        self.codec.tokenizer.save_pretrained(self.folder / "tuned")
        more = {"batch_size": 8, "threshold": 0.5, "num_beams": 2}
        self.settings = {**self.spec.settings(), **self.facts.record(), **more}

    def answers(self, *rows: int, dtype: torch.dtype = torch.float32) -> list[Any]:
        """What the served model answers to some rows in one batch."""
        if dtype not in self.served:
            kind, folder = MODELS[self.head], self.folder / "tuned"
            self.served[dtype] = kind(folder, self.settings, torch.device("cpu"), dtype=dtype)
        columns = {name: ROWS[self.head][name] for name in self.settings["inputs"]}
        inputs = [{name: texts[row] for name, texts in columns.items()} for row in rows]
        with torch.inference_mode():
            return list(self.served[dtype].answer(inputs))
