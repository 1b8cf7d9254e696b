"""Machine translation: a text in one language, the same text in another; scored by sacreBLEU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
from tasks.applications.translation.config import TranslationPipeline
from tasks.applications.translation.rules import TranslationRules

if TYPE_CHECKING:
    import pandas as pd

    from tasks.applications.translation.scores import TranslationScorer

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True)
class TranslationRows(TextPairs):
    """Sources and their translations."""

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """A source may have several translations, but all in one split."""
        return (self.source, self.target) if rule == "duplicates" else (self.source,)


class TranslationScoring(GenerationScoring):
    """BLEU and chrF++."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        return (*percentages("bleu", "chrf"), Metric("length_ratio", high=math.inf))

    def scorer(self, facts: GenerationFacts) -> TranslationScorer:
        from tasks.applications.translation.scores import TranslationScorer

        return TranslationScorer(facts.language)


class SourceCopy(Baseline[GenerationFacts]):
    """No translation at all."""

    def name(self, data: Data) -> str:
        return "copy of the source"

    def predict(self, frame: pd.DataFrame, facts: GenerationFacts) -> Predictions:
        return {"text": frame[SOURCE].to_list()}


APPLICATION = Application(
    name="translation",
    version=2,
    heads=("seq2seq", "causal"),
    pipeline=TranslationPipeline,
    facts=GenerationFacts,
    rows=TranslationRows(SOURCE, TARGET),
    rules=TranslationRules(SOURCE, TARGET),
    learning=GenerationLearning(SOURCE, TARGET),
    tokens=GenerationTokens(SOURCE, TARGET),
    scoring=TranslationScoring("translation"),
    baseline=SourceCopy(),
    serving=GenerationServing(SERVING),
)
