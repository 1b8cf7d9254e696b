"""Summarization: a long text in, a summary out; scored by ROUGE."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from configs.contract import Contract, Rules
from configs.language import english
from configs.schema import Data, Pipeline
from configs.values import Severity
from tasks.applications.base import (
    Application,
    Baseline,
    Predictions,
    Problems,
    Reasons,
    broken_rules,
)
from tasks.applications.scoring import Metric, Scorer, percentages
from tasks.applications.shared.generation.config import GenerationPipeline, WritingModel
from tasks.applications.shared.generation.parts import (
    SERVING,
    GenerationFacts,
    GenerationLearning,
    GenerationRules,
    GenerationScoring,
    GenerationServing,
    GenerationTokens,
    TextPairs,
)
from tasks.text.languages import has_spaces

if TYPE_CHECKING:
    import pandas as pd


SOURCE, TARGET = "document", "summary"
LEAD = 3


class SummaryRules(Rules):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` sets the row
    aside, `warn` only counts it.
    """

    longer_than_document: Severity = "quarantine"
    """A summary is as long as its document, or longer."""
    copied_verbatim: Severity = "warn"
    """A summary stands word for word in its document."""
    no_overlap: Severity = "quarantine"
    """A summary has no word of its document."""


class SummaryContract(Contract):
    """What valid data is, and what happens to a row that is not."""

    rules: SummaryRules = SummaryRules()
    """Each rule's severity."""


class SummarizingModel(WritingModel):
    """The model to fine-tune."""

    long_inputs: Literal["truncate", "chunk"] = "truncate"
    """What happens to documents longer than `max_length`: `truncate` cuts them, `chunk` summarizes
    their pieces and joins the summaries."""


class SummarizationPipeline(GenerationPipeline):
    """A pipeline that fine-tunes a model to summarize."""

    contract: SummaryContract = SummaryContract()
    """What valid data is."""
    model: SummarizingModel = SummarizingModel()
    """The model to fine-tune."""


@dataclass(frozen=True)
class SummarizationRules(GenerationRules):
    """A summary is shorter than its document, about it, and more than a quotation of it."""

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        return broken_rules(frame, (self.source, self.target), _broken)


def _broken(document: str, summary: str) -> Problems:
    from tasks.text.retrieval import tokens

    document, summary = document.strip(), summary.strip()
    if len(summary) >= len(document):
        words = english(
            "the summary has {summary} characters, its document {document}",
            summary=len(summary),
            document=len(document),
        )
        yield "longer_than_document", words
    elif summary in document:
        yield "copied_verbatim", english("the summary stands word for word in the document")
    elif set(tokens(summary)).isdisjoint(tokens(document)):
        yield "no_overlap", english("the summary has no word of the document")


class SummarizationScoring(GenerationScoring):
    """ROUGE F-measures (Lin 2004)."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        rouge = percentages("rouge1", "rouge2", "rougeL", "rougeLsum")
        return (*rouge, Metric("length_ratio", high=math.inf))

    def primary_metric(self, data: Data) -> str:
        """ROUGE-L over whole summaries."""
        return "rougeLsum"

    def scorer(self, facts: GenerationFacts) -> Scorer:
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
