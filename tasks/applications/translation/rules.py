"""Checks of translations: languages, copies, lengths, scripts and numbers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tasks.applications.base import Problems, Reasons, broken_rules
from tasks.applications.shared.generation.parts import GenerationRules
from tasks.applications.translation.config import TranslationPipeline

if TYPE_CHECKING:
    import pandas as pd


Found = list[tuple[str, str]]
NUMBER: Final = re.compile(r"\d+(?:[.,\uff0c\uff0e]\d+)*[.,]?\d|\d{2,}")
SEPARATOR: Final = re.compile(r"[.,]")


@dataclass(frozen=True)
class TranslationRules(GenerationRules[TranslationPipeline]):
    """A translation is in the target language and says what its source says."""

    def check(self, config: TranslationPipeline) -> Problems:
        """The target language, which decides how BLEU counts words, is declared."""
        yield from super().check(config)
        if config.language.target is None:
            yield "language.target", "expected the language of the translations, such as `zh`"
        elif config.language.target == config.language.source:
            yield "language.target", "expected another language than `language.source`"

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
    return [("copied_source", "the target is a copy of the source")]


def _numbers(source: str, target: str) -> Found:
    """Numbers of several digits, where both sides write some in digits."""
    ours, theirs = ({_value(number) for number in NUMBER.findall(t)} for t in (source, target))
    if not ours or not theirs or ours <= theirs or theirs <= ours:
        return []
    missing, added = len(ours - theirs), len(theirs - ours)
    return [("numbers", f"{missing} numbers of the source are not in the target, {added} are new")]


def _value(number: str) -> str:
    return SEPARATOR.sub("", unicodedata.normalize("NFKC", number))


def _lengths(source: str, target: str, most: float) -> Found:
    ratio = max(len(source), len(target)) / max(min(len(source), len(target)), 1)
    if ratio <= most:
        return []
    counts = f"{len(source)} and {len(target)} characters"
    return [("length_ratio", f"source and target have {counts}, more than {most:g} to 1")]
