"""The parts that applications share whose models write text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.language import english
from configs.schema import Data, Pipeline
from configs.training import Loss
from tasks.applications.base import (
    Batch,
    C,
    Codec,
    EncodedRows,
    Facts,
    Learning,
    Objective,
    Predictions,
    Problems,
    Rules,
    Scoring,
    Serving,
    Tokens,
    View,
)
from tasks.applications.codec import token_counts
from tasks.applications.facts import Census
from tasks.applications.rows import Column, Rows
from tasks.applications.shared import losses
from tasks.applications.shared.generation.config import GenerationPipeline
from tasks.applications.shared.losses import IGNORED

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema

UNCUT = 1 << 30
SERVING = Path(__file__).parent / "serving.py"


@dataclass(frozen=True, kw_only=True)
class GenerationFacts(Facts):
    """What a model that writes text freezes; the other fields are as in ``generation``.

    Validation during training searches greedily.

    Attributes:
        language: of the output.
        languages: of the input and of the output.
        long_inputs: as ``model.long_inputs``.
    """

    language: str = ""
    languages: tuple[str, ...] = ()
    long_inputs: str = "truncate"
    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    max_new_tokens: int | None = None


@dataclass(frozen=True)
class PairColumns:
    """The columns of a text pair: the one that is read, and the one that is written."""

    source: str
    target: str


@dataclass(frozen=True)
class TextPairs(PairColumns, Rows[GenerationFacts]):
    """A text that is read, and a text that is written."""

    def columns(self, data: Data) -> tuple[Column, ...]:
        return Column(self.source, "text"), Column(self.target, "target")

    def texts(self, config: Pipeline) -> dict[str, str]:
        """Both texts, each in its own language."""
        return {self.source: config.language.source, self.target: config.language.output}

    def store(self, frame: pd.DataFrame, facts: GenerationFacts) -> dict[str, Any]:
        """Both texts, trimmed."""
        from tasks import arrow

        names = (self.source, self.target)
        return {name: arrow.strip(arrow.texts_of(frame[name])) for name in names}


@dataclass(frozen=True)
class GenerationRules(PairColumns, Rules[GenerationFacts, C]):
    """Checks of two texts, and no settings about labels."""

    def check(self, config: C) -> Problems:
        if config.data.labels is not None or config.data.labelling != "single":
            where = "data.labels" if config.data.labels is not None else "data.labelling"
            yield (
                where,
                english(
                    "{application} has no labels: leave it out", application=config.application
                ),
            )
        if config.training.loss.class_weights != "none":
            yield (
                "training.loss.class_weights",
                english(
                    "{application} has no classes: leave it out", application=config.application
                ),
            )

    def schema(self, config: C) -> DataFrameSchema:
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import text_column

        return DataFrameSchema({self.source: text_column(), self.target: text_column()})


@dataclass(frozen=True)
class GenerationLearning(PairColumns, Learning[GenerationFacts]):
    """Loss over the tokens of the targets; encoder-decoders, encoder pairs and causal models."""

    def learn(self, census: Census, data: Data) -> GenerationFacts:
        return GenerationFacts(inputs=(self.source,))

    def configure(self, facts: GenerationFacts, config: Pipeline) -> GenerationFacts:
        source, output = config.language.source, config.language.output
        return replace(facts, language=output, languages=(source, output))

    def objective(self, facts: GenerationFacts, loss: Loss) -> Objective:
        return losses.TokenLoss(losses.of(loss))

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
        else:
            config: Any = getattr(model, "module", model).config
            if config.is_encoder_decoder:
                inputs["decoder_input_ids"] = shifted(batch["labels"], config)
        logits: torch.Tensor = model(**inputs, use_cache=False).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Write each row's text with the code of the registered model."""
        from tasks.applications.shared.generation.serving import Generator

        table = view.rows.take(batch["row"].cpu().numpy())
        codec = view.codec
        settings = view.facts.record() | {
            "head": codec.head,
            "max_length": codec.max_length,
            "max_target_length": codec.max_target_length,
            "prefix": codec.prefix,
        }
        generator = Generator(model, codec.tokenizer, codec.target, settings)
        texts = generator.generate(table[self.source].to_pylist())
        targets = {name: table[name].to_pylist() for name in (self.source, self.target)}
        return targets, {"text": texts}


def shifted(labels: torch.Tensor, config: Any) -> torch.Tensor:
    """Labels of shape (rows, longest) behind the start token, for models without a rule."""
    moved = labels.roll(1, dims=-1)
    moved[:, 0] = config.decoder_start_token_id
    return moved.masked_fill(moved == losses.IGNORED, config.pad_token_id)


@dataclass(frozen=True)
class GenerationTokens(PairColumns, Tokens[GenerationFacts]):
    """Sources and targets."""

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        return rows[self.source], rows[self.target]

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of each source and target, special ones included."""
        special = codec.tokenizer.num_special_tokens_to_add()
        sources = [codec.prefix + text for text in rows[self.source]]
        inputs = [count + special for count in token_counts(codec.tokenizer, sources)]
        whole = replace(codec, max_target_length=UNCUT)
        return inputs, [len(ids) for ids in target_ids(whole, rows[self.target])]

    def encode(
        self, rows: Mapping[str, list[Any]], codec: Codec, facts: GenerationFacts
    ) -> EncodedRows:
        """Tokenize sources and targets; a causal model gets both in one sequence."""
        sources = [codec.prefix + text for text in rows[self.source]]
        targets = target_ids(codec, rows[self.target])
        if codec.head == "causal":
            return _one_sequence(codec, sources, targets)
        inputs = codec.tokenizer(
            sources, truncation=True, max_length=codec.max_length, return_attention_mask=False
        )["input_ids"]
        columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": targets}
        return EncodedRows(
            columns, _cut(codec, inputs, targets), counts=_cut_targets(codec, targets)
        )

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad sources and targets; labels of shape (rows, longest target), -100 where none."""
        from tasks.applications.shared.padding import pad

        input_ids, attention_mask = pad(table["input_ids"], codec.pad_id)
        labels, _ = pad(table["labels"], IGNORED)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


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


def _one_sequence(codec: Codec, sources: list[str], targets: list[list[int]]) -> EncodedRows:
    """Source, end token, target, end token; labels say the next token, in the target only."""
    from tasks.applications.shared.generation.serving import prompt_ids

    prompts = prompt_ids(codec.tokenizer, sources, codec.max_length)
    pairs = list(zip(prompts, targets, strict=True))
    inputs = [prompt + target for prompt, target in pairs]
    labels = [[IGNORED] * (len(prompt) - 1) + target + [IGNORED] for prompt, target in pairs]
    columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": labels}
    return EncodedRows(columns, _cut(codec, prompts, targets), counts=_cut_targets(codec, targets))


def _cut(codec: Codec, inputs: list[list[int]], targets: list[list[int]]) -> int:
    """Rows that fill a limit to the last token, which whole texts hardly ever do."""
    return sum(
        len(source) >= codec.max_length or len(target) >= codec.max_target_length
        for source, target in zip(inputs, targets, strict=True)
    )


def _cut_targets(codec: Codec, targets: list[list[int]]) -> dict[str, int]:
    return {english("targets cut"): sum(len(ids) >= codec.max_target_length for ids in targets)}


@dataclass(frozen=True)
class GenerationScoring(Scoring[GenerationFacts]):
    """Scores of written texts; ``output`` is the registered model's column."""

    output: str

    def served(self, predictions: pd.DataFrame) -> Predictions:
        return {"text": predictions[self.output].to_list()}


class GenerationServing(Serving[GenerationFacts, GenerationPipeline]):
    """The search of the registered model."""

    def configure(self, facts: GenerationFacts, config: GenerationPipeline) -> GenerationFacts:
        return replace(facts, **config.generation.model_dump())
