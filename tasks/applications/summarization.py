"""Summarization: a long text in, its gist out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Facts, Predictions, Reasons
from tasks.applications.shared.writing import Writing
from tasks.text.languages import has_spaces
from tasks.text.retrieval import tokens

if TYPE_CHECKING:
    import pandas as pd

    from configs.schema import Data, Pipeline
    from tasks.applications.shared.summary_scores import SummaryScorer

LEAD = 3
RULES = frozenset(
    f"contract.rules.{name}" for name in ("longer_than_document", "copied_verbatim", "no_overlap")
)


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
        """A summary is shorter than its document, about it, and more than a quotation of it."""
        columns = frame.index, frame[self.source], frame[self.target]
        found = {
            int(index): list(_complaints(document.strip(), summary.strip()))
            for index, document, summary in zip(*columns, strict=True)
        }
        return {index: reasons for index, reasons in found.items() if reasons}

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


def _complaints(document: str, summary: str) -> Iterator[tuple[str, str]]:
    if len(summary) >= len(document):
        words = f"the summary has {len(summary)} characters, its document {len(document)}"
        yield "longer_than_document", words
    elif summary in document:
        yield "copied_verbatim", "the summary stands word for word in the document"
    elif set(tokens(summary)).isdisjoint(tokens(document)):
        yield "no_overlap", "the summary has no word of the document"


APPLICATION: Any = Summarization(
    name="summarization",
    version=1,
    uses=Summarization.uses | {"model.long_inputs"} | RULES,
    source="document",
    target="summary",
    output="summary",
)
