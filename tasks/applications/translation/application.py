"""Machine translation: a text in one language, the same text in another; scored by sacreBLEU."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from configs.contract import Contract, Rules
from configs.language import english
from configs.schema import Data, Language
from configs.values import LanguageCode, Severity
from tasks.applications.base import (
    Application,
    Baseline,
    Predictions,
    Problems,
    Reasons,
    broken_rules,
)
from tasks.applications.scoring import Metric, Scorer, percentages
from tasks.applications.shared.generation.config import GenerationPipeline
from tasks.applications.shared.generation.parts import (
    SERVING,
    GenerationFacts,
    GenerationLearning,
    GenerationRules,
    GenerationScoring,
    GenerationServing,
    GenerationTokens,
    TextPairs,
)

if TYPE_CHECKING:
    import pandas as pd


SOURCE, TARGET = "source", "target"
NUMBER: Final = re.compile(r"\d+(?:[.,\uff0c\uff0e]\d+)*[.,]?\d|\d{2,}")
SEPARATOR: Final = re.compile(r"[.,]")
Found = list[tuple[str, str]]


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


@dataclass(frozen=True)
class TranslationRows(TextPairs):
    """Sources and their translations."""

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """A source may have several translations, but all in one split."""
        return (self.source, self.target) if rule == "duplicates" else (self.source,)


@dataclass(frozen=True)
class TranslationRules(GenerationRules[TranslationPipeline]):
    """A translation is in the target language and says what its source says."""

    def check(self, config: TranslationPipeline) -> Problems:
        """The target language, which decides how BLEU counts words, is declared."""
        yield from super().check(config)
        if config.language.target is None:
            yield (
                "language.target",
                english("expected the language of the translations, such as `zh`"),
            )
        elif config.language.target == config.language.source:
            yield "language.target", english("expected another language than `language.source`")

    def findings(self, frame: pd.DataFrame, config: TranslationPipeline) -> Reasons:
        from tasks.text.languages import script_problems

        language, most = config.language, config.contract.max_length_ratio

        def check(source: str, target: str) -> Problems:
            yield from _copied(source, target, language.source, language.output)
            yield from _lengths(source.strip(), target.strip(), most)
            yield from _numbers(source, target)
            wrong = [
                *script_problems(source, language.source, self.source),
                *script_problems(target, language.output, self.target),
            ]
            yield from (("wrong_script", words) for words in wrong)

        return broken_rules(frame, (self.source, self.target), check)


def _copied(source: str, target: str, source_language: str, target_language: str) -> Found:
    if source_language == target_language or source.strip() != target.strip():
        return []
    return [("copied_source", english("the target is a copy of the source"))]


def _numbers(source: str, target: str) -> Found:
    """Numbers of several digits, where both sides write some in digits."""
    ours, theirs = ({_value(number) for number in NUMBER.findall(t)} for t in (source, target))
    if not ours or not theirs or ours <= theirs or theirs <= ours:
        return []
    missing, added = len(ours - theirs), len(theirs - ours)
    return [
        (
            "numbers",
            english(
                "{missing:d} numbers of the source are not in the target, {added:d} are new",
                missing=missing,
                added=added,
            ),
        )
    ]


def _value(number: str) -> str:
    return SEPARATOR.sub("", unicodedata.normalize("NFKC", number))


def _lengths(source: str, target: str, most: float) -> Found:
    ratio = max(len(source), len(target)) / max(min(len(source), len(target)), 1)
    if ratio <= most:
        return []
    counts = english("{source:d} and {target:d} characters", source=len(source), target=len(target))
    return [
        (
            "length_ratio",
            english(
                "source and target have {counts}, more than {most:g} to 1", counts=counts, most=most
            ),
        )
    ]


class TranslationScoring(GenerationScoring):
    """BLEU and chrF++."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        return (*percentages("bleu", "chrf"), Metric("length_ratio", high=math.inf))

    def scorer(self, facts: GenerationFacts) -> Scorer:
        from tasks.applications.translation.scores import TranslationScorer

        return TranslationScorer(facts.language)


class SourceCopy(Baseline[GenerationFacts]):
    """No translation at all."""

    def name(self, data: Data) -> str:
        return english("copy of the source")

    def predict(self, frame: pd.DataFrame, facts: GenerationFacts) -> Predictions:
        return {"text": frame[SOURCE].to_list()}


APPLICATION = Application(
    name="translation",
    version=2,
    heads=("seq2seq", "causal"),
    pipeline=TranslationPipeline,
    facts=GenerationFacts,
    rows=TranslationRows(SOURCE, TARGET),
    rules=TranslationRules(SOURCE, TARGET),
    learning=GenerationLearning(SOURCE, TARGET),
    tokens=GenerationTokens(SOURCE, TARGET),
    scoring=TranslationScoring("translation"),
    baseline=SourceCopy(),
    serving=GenerationServing(SERVING),
)
