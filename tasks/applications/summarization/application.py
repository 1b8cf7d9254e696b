"""Summarization: a long text in, a summary out; scored by ROUGE."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from configs.schema import Data
from tasks.applications.base import Application, Baseline, Predictions
from tasks.applications.scoring import Metric, percentages
from tasks.applications.shared.generation.parts import (
    SERVING,
    GenerationFacts,
    GenerationLearning,
    GenerationScoring,
    GenerationServing,
    GenerationTokens,
    TextPairs,
)
from tasks.applications.summarization.config import SummarizationPipeline
from tasks.applications.summarization.rules import SummarizationRules
from tasks.text.languages import has_spaces

if TYPE_CHECKING:
    import pandas as pd

    from tasks.applications.summarization.scores import SummaryScorer

SOURCE, TARGET = "document", "summary"
LEAD = 3


class SummarizationScoring(GenerationScoring):
    """ROUGE F-measures (Lin 2004)."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        rouge = percentages("rouge1", "rouge2", "rougeL", "rougeLsum")
        return (*rouge, Metric("length_ratio", high=math.inf))

    def primary_metric(self, data: Data) -> str:
        """ROUGE-L over whole summaries."""
        return "rougeLsum"

    def scorer(self, facts: GenerationFacts) -> SummaryScorer:
        from tasks.applications.summarization.scores import SummaryScorer

        return SummaryScorer(facts.language)


class SummarizationServing(GenerationServing):
    """The search, and what happens to long documents."""

    def configure(self, facts: GenerationFacts, config: Any) -> GenerationFacts:
        return replace(super().configure(facts, config), long_inputs=config.model.long_inputs)


class Lead(Baseline[GenerationFacts]):
    """The beginning of the document."""

    def name(self, data: Data) -> str:
        return f"lead-{LEAD}"

    def predict(self, frame: pd.DataFrame, facts: GenerationFacts) -> Predictions:
        from tasks.applications.shared.generation.serving import sentences

        glue = " " if has_spaces(facts.language) else ""
        return {"text": [glue.join(sentences(text)[:LEAD]) for text in frame[SOURCE]]}


APPLICATION = Application(
    name="summarization",
    version=2,
    heads=("seq2seq", "causal"),
    pipeline=SummarizationPipeline,
    facts=GenerationFacts,
    rows=TextPairs(SOURCE, TARGET),
    rules=SummarizationRules(SOURCE, TARGET),
    learning=GenerationLearning(SOURCE, TARGET),
    tokens=GenerationTokens(SOURCE, TARGET),
    scoring=SummarizationScoring("summary"),
    baseline=Lead(),
    serving=SummarizationServing(SERVING),
)
