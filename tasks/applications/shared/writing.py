"""Applications whose models write text: encoder-decoders, encoder pairs, causal models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Column, Encoded, Facts, Head, Predictions, View
from tasks.applications.shared.defaults import Defaults, token_counts
from tasks.errors import ModelError, Problem

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.codec import Codec

IGNORED = -100
"""The label that counts for nothing, as in torch."""
UNCUT = 1 << 30
MOST_UNKNOWN = 0.25


@dataclass(frozen=True)
class Writing(Defaults):
    """What translation and summarization share.

    Attributes:
        source: the column that is read.
        target: the column that is written.
    """

    name: str
    version: int
    source: str
    target: str
    output: str
    heads: tuple[Head, ...] = ("seq2seq", "causal")
    uses: frozenset[str] = frozenset({"generation", "model.max_target_length"})
    serving: Path = Path(__file__).parent.parent / "serving" / "generation.py"

    def columns(self, data: Data) -> tuple[Column, ...]:
        """A text, and the text that the model shall write for it."""
        return Column(self.source, "text"), Column(self.target, "target")

    def texts(self, config: Pipeline) -> dict[str, str]:
        """Both texts, each in its own language."""
        return {self.source: config.language.source, self.target: config.language.output}

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Labels mean nothing to text that is written."""
        if config.data.labels is not None or config.data.labelling != "single":
            where = "data.labels" if config.data.labels is not None else "data.labelling"
            yield where, f"{self.name} has no labels: leave it out"
        if config.training.loss.class_weights != "none":
            yield "training.loss.class_weights", f"{self.name} has no classes: leave it out"

    def settings(self, config: Pipeline) -> Facts:
        """The language, and how validation searches: greedily."""
        return {
            "language": config.language.output,
            "languages": [config.language.source, config.language.output],
            "long_inputs": "truncate",
            "num_beams": 1,
            "length_penalty": 1.0,
            "no_repeat_ngram_size": 0,
        }

    def decoding(self, config: Pipeline) -> Facts:
        """How the served model searches."""
        return {
            **config.generation.model_dump(mode="json"),
            "long_inputs": config.model.long_inputs,
        }

    def contract(self, config: Pipeline) -> DataFrameSchema:
        """Two texts that are there."""
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import text_column

        return DataFrameSchema({self.source: text_column(), self.target: text_column()})

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """Both texts, trimmed."""
        return {name: frame[name].str.strip().to_list() for name in (self.source, self.target)}

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """Sources and targets."""
        return rows[self.source], rows[self.target]

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of each source and target, special ones included."""
        special = codec.tokenizer.num_special_tokens_to_add()
        sources = [codec.prefix + text for text in rows[self.source]]
        inputs = [count + special for count in token_counts(codec.tokenizer, sources)]
        whole = replace(codec, max_target_length=UNCUT)
        return inputs, [len(ids) for ids in target_ids(whole, rows[self.target])]

    def encode(self, rows: Mapping[str, list[Any]], codec: Codec, facts: Facts) -> Encoded:
        """Tokenize sources and targets; a causal model gets both in one sequence."""
        sources = [codec.prefix + text for text in rows[self.source]]
        targets = target_ids(codec, rows[self.target])
        _require_known(codec, targets)
        if codec.head == "causal":
            return _one_sequence(codec, sources, targets)
        inputs = codec.tokenizer(
            sources, truncation=True, max_length=codec.max_length, return_attention_mask=False
        )["input_ids"]
        columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": targets}
        return Encoded(columns, _cut(codec, inputs, targets), counts=_cut_targets(codec, targets))

    def objective(self, facts: Facts, loss: Loss) -> TokenLoss:
        """Cross-entropy or focal loss over the tokens of the targets."""
        return TokenLoss(loss.label_smoothing, loss.focal_gamma if loss.name == "focal" else None)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad sources and targets; labels of shape (rows, longest target), -100 where none."""
        from tasks.applications.shared.padding import pad

        input_ids, attention_mask = pad(table["input_ids"], codec.pad_id)
        labels, _ = pad(table["labels"], IGNORED)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of shape (rows, longest target, vocabulary), aligned with the labels.

        Targets are shifted to the right by the model's own rule. A causal model's labels are
        shifted to the left when they are encoded.
        """
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        shift = getattr(model, "prepare_decoder_input_ids_from_labels", None)
        if shift is None and hasattr(model, "module"):
            shift = getattr(model.module, "prepare_decoder_input_ids_from_labels", None)
        if shift is not None:
            inputs["decoder_input_ids"] = shift(labels=batch["labels"])
        logits: torch.Tensor = model(**inputs, use_cache=False).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Write each row's text with the served model's own code."""
        from tasks.applications.serving.generation import Writer

        table = view.rows.take(batch["row"].cpu().numpy())
        codec = view.codec
        settings = view.facts | {
            "head": codec.head,
            "max_length": codec.max_length,
            "max_target_length": codec.max_target_length,
            "prefix": codec.prefix,
        }
        writer = Writer(model, codec.tokenizer, codec.target, settings)
        texts = writer.write(table[self.source].to_pylist())
        targets = {name: table[name].to_pylist() for name in (self.source, self.target)}
        return targets, {"text": texts}

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """What the registered model wrote."""
        return {"text": predictions[self.output].to_list()}


def target_ids(codec: Codec, texts: list[str]) -> list[list[int]]:
    """Token ids of targets, cut to the longest, with the end token and without a start token.

    Multilingual models and BART keep what their own tokenizer puts around a target.
    """
    length = codec.max_target_length
    if codec.head == "causal":
        found = codec.target(
            texts, add_special_tokens=False, truncation=True, max_length=length - 1
        )
        return [[*ids, codec.target.eos_token_id] for ids in found["input_ids"]]
    if codec.target is codec.tokenizer:
        ids: list[list[int]] = codec.target(text_target=texts, truncation=True, max_length=length)[
            "input_ids"
        ]
        return ids
    # The start token of an encoder's tokenizer is dropped: the decoder starts from it.
    start = int(codec.target("")["input_ids"][0] == codec.target.cls_token_id)
    found = codec.target(texts, truncation=True, max_length=length + start)["input_ids"]
    return [ids[start:] for ids in found]


def _one_sequence(codec: Codec, sources: list[str], targets: list[list[int]]) -> Encoded:
    """Source, end token, target, end token; labels say the next token, in the target only."""
    from tasks.applications.serving.generation import prompt_ids

    prompts = prompt_ids(codec.tokenizer, sources, codec.max_length)
    pairs = list(zip(prompts, targets, strict=True))
    inputs = [prompt + target for prompt, target in pairs]
    labels = [[IGNORED] * (len(prompt) - 1) + target + [IGNORED] for prompt, target in pairs]
    columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": labels}
    return Encoded(columns, _cut(codec, prompts, targets), counts=_cut_targets(codec, targets))


def _cut(codec: Codec, inputs: list[list[int]], targets: list[list[int]]) -> int:
    """Rows that fill a limit to the last token, which whole texts hardly ever do."""
    return sum(
        len(source) >= codec.max_length or len(target) >= codec.max_target_length
        for source, target in zip(inputs, targets, strict=True)
    )


def _cut_targets(codec: Codec, targets: list[list[int]]) -> dict[str, int]:
    return {"targets cut": sum(len(ids) >= codec.max_target_length for ids in targets)}


def _require_known(codec: Codec, targets: list[list[int]]) -> None:
    """Refuse a tokenizer that does not know the language of the targets.

    Raises:
        ModelError: too many of their tokens are unknown to it.
    """
    unknown = codec.target.unk_token_id
    if unknown is None or unknown == codec.target.eos_token_id:
        return
    found, tokens = sum(ids.count(unknown) for ids in targets), sum(map(len, targets))
    if found > MOST_UNKNOWN * tokens:
        message = f"the tokenizer knows only {1 - found / tokens:.0%} of the tokens of the targets"
        advice = "train one on them: model.decoder.vocabulary, or take a model of their language"
        raise ModelError(Problem("model", message, advice))


class TokenLoss:
    """Mean loss over the tokens of the targets, those that are no padding."""

    def __init__(self, label_smoothing: float, focal_gamma: float | None) -> None:
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.expected_initial = math.nan

    def weight(self, batch: Batch) -> torch.Tensor:
        """Tokens of the targets."""
        return (batch["labels"] != IGNORED).sum().float()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum of the losses of the tokens; that of a guess is the logarithm of the vocabulary."""
        from tasks.applications.shared.losses import cross_entropy_sum

        self.expected_initial = math.log(outputs.shape[-1])
        return cross_entropy_sum(
            outputs,
            batch["labels"],
            label_smoothing=self.label_smoothing,
            focal_gamma=self.focal_gamma,
            ignore_index=IGNORED,
        )
