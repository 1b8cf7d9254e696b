"""What only a pipeline of summarization configures."""

from __future__ import annotations

from typing import Literal

from configs.contract import Contract, Rules
from configs.values import Severity
from tasks.applications.shared.generation.config import GenerationPipeline, WritingModel


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
    """What becomes of documents longer than `max_length`: `truncate`, or `chunk`: each piece is
    summarized and the summaries are joined."""


class SummarizationPipeline(GenerationPipeline):
    """A pipeline that fine-tunes a model to summarize."""

    contract: SummaryContract = SummaryContract()
    """What valid data is."""
    model: SummarizingModel = SummarizingModel()
    """The model to fine-tune."""
