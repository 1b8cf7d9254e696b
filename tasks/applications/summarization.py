"""Summarization: a long text in, its gist out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Facts, Predictions, Reasons
from tasks.applications.shared.writing import Writing
from tasks.languages import has_spaces

if TYPE_CHECKING:
    import pandas as pd

    from configs.schema import Data, Pipeline
    from tasks.applications.shared.summary_scores import SummaryScorer

LEAD = 3


@dataclass(frozen=True)
class Summarization(Writing):
    """Document in, summary out; scored by ROUGE."""

    def metrics(self, data: Data) -> tuple[str, ...]:
        """ROUGE F-measures (Lin 2004) from 0 to 100, and the ratio of lengths."""
        return "rouge1", "rouge2", "rougeL", "rougeLsum", "length_ratio"

    def headline(self, data: Data) -> str:
        """ROUGE-L over whole summaries."""
        return "rougeLsum"

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        """A summary is shorter than its document."""
        documents, summaries = frame[self.source].str.len(), frame[self.target].str.len()
        return {
            int(index): [
                f"the summary has {summaries[index]} characters, its document {documents[index]}"
            ]
            for index in frame.index[summaries >= documents]
        }

    def scorer(self, facts: Facts) -> SummaryScorer:
        """ROUGE with a tokenizer for the language."""
        from tasks.applications.shared.summary_scores import SummaryScorer

        return SummaryScorer(facts["language"])

    def baseline_name(self, data: Data) -> str:
        """The beginning of the document."""
        return f"lead-{LEAD}"

    def baseline(self, frame: pd.DataFrame, facts: Facts) -> Predictions:
        """The first three sentences."""
        from tasks.applications.serving.generation import sentences

        glue = " " if has_spaces(facts["language"]) else ""
        return {"text": [glue.join(sentences(text)[:LEAD]) for text in frame[self.source]]}


APPLICATION: Any = Summarization(
    name="summarization",
    version=1,
    uses=Summarization.uses | {"model.long_inputs"},
    source="document",
    target="summary",
    output="summary",
)
