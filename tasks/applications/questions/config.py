"""What only a pipeline of questions configures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from configs.contract import Contract, Rules, Strict
from configs.schema import Pipeline, Section


class AnswerRules(Rules):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` sets the row
    aside, `warn` only counts it.
    """

    answer_offset: Strict = "quarantine"
    """An answer is not where its offset points in the context."""
    answer_missing: Strict = "quarantine"
    """A question has no answer, and `answering.unanswerable` is false."""


class QuestionContract(Contract):
    """What valid data is, and what happens to a row that is not."""

    rules: AnswerRules = AnswerRules()
    """Each rule's severity."""


class Answering(Section):
    """How answers are found in a context."""

    unanswerable: bool = False
    """Whether rows may have no answer, as in SQuAD 2.0, and the model may predict that."""
    stride: Annotated[int, Field(ge=0, le=1_000_000)] = 128
    """Tokens that two neighbouring windows over a long context share."""
    max_answer_length: Annotated[int, Field(ge=1, le=1_000_000)] = 30
    """Longest answer in tokens."""
    n_best: Annotated[int, Field(ge=1, le=100)] = 20
    """Candidate spans per window."""


class QuestionPipeline(Pipeline):
    """A pipeline that fine-tunes a model for questions."""

    contract: QuestionContract = QuestionContract()
    """What valid data is."""
    answering: Answering = Answering()
    """How answers are found."""
