"""The facts of a model that writes text."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.applications.facts import Facts


@dataclass(frozen=True, kw_only=True)
class GenerationFacts(Facts):
    """What a model that writes text freezes; validation during training searches greedily.

    Attributes:
        language: of the output.
        languages: of the input and of the output.
        long_inputs: as ``model.long_inputs``.
        num_beams: beams of the search.
        length_penalty: exponent of the length that scores are divided by.
        no_repeat_ngram_size: no n-gram of this size occurs twice in an output; 0 allows all.
        max_new_tokens: longest output in tokens; None for the longest target.
    """

    language: str = ""
    languages: tuple[str, ...] = ()
    long_inputs: str = "truncate"
    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    max_new_tokens: int | None = None
