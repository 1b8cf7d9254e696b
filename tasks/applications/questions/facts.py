"""The facts of questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.applications.facts import Facts


@dataclass(frozen=True, kw_only=True)
class QuestionFacts(Facts):
    """What a model that finds answers freezes.

    Attributes:
        answered: rows with an answer, by split.
        unanswered: rows without an answer, by split.
        language: of the contexts.
        stride: tokens that two neighbouring windows share.
        max_answer_length: longest answer in tokens.
        n_best: candidate spans per window.
        unanswerable: whether the model may say that there is no answer.
        null_threshold: by how much having no answer must lead for the model to say so.
    """

    answered: Mapping[str, int]
    unanswered: Mapping[str, int]
    language: str = ""
    stride: int = 0
    max_answer_length: int = 0
    n_best: int = 0
    unanswerable: bool = False
    null_threshold: float | None = None
