"""What only a pipeline of translation configures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from configs.contract import Contract, Rules
from configs.schema import Language
from configs.values import LanguageCode, Severity
from tasks.applications.shared.generation.config import GenerationPipeline


class TranslationLanguage(Language):
    """The languages of the text: ISO 639 codes such as `en`, or a model's own such as `zh_CN`."""

    target: LanguageCode | None = None
    """Language of the translations; it must be given."""

    @property
    def output(self) -> str:
        return self.target or self.source


class PairRules(Rules):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` sets the row
    aside, `warn` only counts it.
    """

    copied_source: Severity = "quarantine"
    """A translation is a copy of its source."""
    length_ratio: Severity = "quarantine"
    """The lengths of a text and its translation differ more than `contract.max_length_ratio`."""
    wrong_script: Severity = "quarantine"
    """A text has no letter of its language's script."""
    numbers: Severity = "warn"
    """A text and its translation have different numbers."""


class TranslationContract(Contract):
    """What valid data is, and what happens to a row that is not."""

    rules: PairRules = PairRules()
    """Each rule's severity."""
    max_length_ratio: Annotated[float, Field(gt=1, le=1_000_000)] = 10.0
    """A translation may have at most this many times the characters of its source, or the
    reverse."""


class TranslationPipeline(GenerationPipeline):
    """A pipeline that fine-tunes a model to translate."""

    contract: TranslationContract = TranslationContract()
    """What valid data is."""
    language: TranslationLanguage = TranslationLanguage()
    """The languages of the text."""
