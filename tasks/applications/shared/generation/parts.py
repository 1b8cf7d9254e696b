"""The parts that applications share whose models write text: everything but their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.applications.base import (
    Batch,
    C,
    Column,
    Facts,
    Learning,
    Objective,
    Predictions,
    Problems,
    Rows,
    Rules,
    Scoring,
    Serving,
    View,
)
from tasks.applications.shared import losses
from tasks.applications.shared.generation.config import GenerationPipeline

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.census import Census

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
    """The columns of a text pair.

    Attributes:
        source: the column that is read.
        target: the column that is written.
    """

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
            yield where, f"{config.application} has no labels: leave it out"
        if config.training.loss.class_weights != "none":
            yield (
                "training.loss.class_weights",
                f"{config.application} has no classes: leave it out",
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


@dataclass(frozen=True)
class GenerationScoring(Scoring[GenerationFacts]):
    """Scores of written texts.

    Attributes:
        output: the registered model's output column.
    """

    output: str

    def served(self, predictions: pd.DataFrame) -> Predictions:
        return {"text": predictions[self.output].to_list()}


class GenerationServing(Serving[GenerationFacts, GenerationPipeline]):
    """The search of the registered model."""

    def configure(self, facts: GenerationFacts, config: GenerationPipeline) -> GenerationFacts:
        return replace(facts, **config.generation.model_dump())
