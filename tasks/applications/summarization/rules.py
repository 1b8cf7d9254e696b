"""Checks of summaries: length, quotation and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.schema import Pipeline
from tasks.applications.base import Problems, Reasons, broken_rules
from tasks.applications.shared.generation.parts import GenerationRules

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SummarizationRules(GenerationRules):
    """A summary is shorter than its document, about it, and more than a quotation of it."""

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        return broken_rules(frame, (self.source, self.target), _broken)


def _broken(document: str, summary: str) -> Problems:
    from tasks.text.retrieval import tokens

    document, summary = document.strip(), summary.strip()
    if len(summary) >= len(document):
        words = f"the summary has {len(summary)} characters, its document {len(document)}"
        yield "longer_than_document", words
    elif summary in document:
        yield "copied_verbatim", "the summary stands word for word in the document"
    elif set(tokens(summary)).isdisjoint(tokens(document)):
        yield "no_overlap", "the summary has no word of the document"
