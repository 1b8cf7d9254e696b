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
    """What happens to documents longer than `max_length`: `truncate` cuts them, `chunk` summarizes
    their pieces and joins the summaries."""


class SummarizationPipeline(GenerationPipeline):
    """A pipeline that fine-tunes a model to summarize."""

    contract: SummaryContract = SummaryContract()
    """What valid data is."""
    model: SummarizingModel = SummarizingModel()
    """The model to fine-tune."""
