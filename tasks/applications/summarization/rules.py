"""Checks of summaries: length, quotation and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.applications.base import Reasons
from tasks.applications.shared.generation.parts import GenerationRules

if TYPE_CHECKING:
    import pandas as pd

    from configs.schema import Pipeline


@dataclass(frozen=True)
class SummarizationRules(GenerationRules):
    """A summary is shorter than its document, about it, and more than a quotation of it."""

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        columns = frame.index, frame[self.source], frame[self.target]
        found = {
            int(index): list(_broken(document.strip(), summary.strip()))
            for index, document, summary in zip(*columns, strict=True)
        }
        return {index: reasons for index, reasons in found.items() if reasons}


def _broken(document: str, summary: str) -> Iterator[tuple[str, str]]:
    from tasks.text.retrieval import tokens

    if len(summary) >= len(document):
        words = f"the summary has {len(summary)} characters, its document {len(document)}"
        yield "longer_than_document", words
    elif summary in document:
        yield "copied_verbatim", "the summary stands word for word in the document"
    elif set(tokens(summary)).isdisjoint(tokens(document)):
        yield "no_overlap", "the summary has no word of the document"
