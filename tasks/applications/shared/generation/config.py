"""What pipelines configure whose models write text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.schema import Model, Pipeline, Section


class Generation(Section):
    """How text is written."""

    num_beams: Annotated[int, Field(ge=1, le=64)] = 4
    """Beams of the search; 1 is greedy. Validation during training is always greedy."""
    length_penalty: Annotated[float, Field(ge=-100, le=100)] = 1.0
    """Exponent of the length that scores are divided by: above 0 favours long outputs."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=1000)] = 0
    """No n-gram of this size occurs twice in an output; 0 allows all."""
    max_new_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Longest output in tokens; by default `model.max_target_length`."""


class WritingModel(Model):
    """The model to fine-tune."""

    max_target_length: Literal["auto"] | Annotated[int, Field(ge=4, le=1_000_000)] = "auto"
    """Longest target in tokens; `auto` covers 99.5% of the training rows, at least 32 tokens and
    at most what the model takes."""


class GenerationPipeline(Pipeline):
    """A pipeline that fine-tunes a model to write text."""

    model: WritingModel = WritingModel()
    """The model to fine-tune."""
    generation: Generation = Generation()
    """How text is written."""
