"""Machine translation: a text in one language, the same text in another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from tasks.applications.base import Facts, Predictions, Reasons
from tasks.applications.shared.writing import Writing

if TYPE_CHECKING:
    import pandas as pd

    from configs.schema import Data, Pipeline
    from tasks.applications.shared.translation_scores import TranslationScorer


Found = list[tuple[str, str]]
NUMBER: Final = re.compile(r"\d+(?:[.,\uff0c\uff0e]\d+)*[.,]?\d|\d{2,}")
SEPARATOR: Final = re.compile(r"[.,]")
RULES: Final = frozenset(
    f"contract.rules.{name}"
    for name in ("copied_source", "length_ratio", "wrong_script", "numbers")
)


@dataclass(frozen=True)
class Translation(Writing):
    """Source in, translation out; scored by sacreBLEU."""

    def metrics(self, data: Data) -> tuple[str, ...]:
        """BLEU and chrF++, both from 0 to 100, and the ratio of lengths."""
        return "bleu", "chrf", "length_ratio"

    def headline(self, data: Data) -> str:
        """BLEU."""
        return "bleu"

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """A source may have several translations, but all in one split."""
        return (self.source, self.target) if rule == "duplicates" else (self.source,)

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """The target language decides how BLEU counts words, so it is declared."""
        yield from super().check(config)
        if config.language.target is None:
            yield "language.target", "expected the language of the translations, such as `zh`"
        elif config.language.target == config.language.source:
            yield "language.target", "expected another language than `language.source`"

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        """Copies, lengths that cannot belong together, and the wrong script."""
        from tasks.text import scripts

        language, most = config.language, config.contract.max_length_ratio
        reasons: Reasons = {}
        for index, source, target in zip(
            frame.index, frame[self.source], frame[self.target], strict=True
        ):
            found = [
                *_copied(source, target, language.source, language.output),
                *_lengths(source.strip(), target.strip(), most),
                *_numbers(source, target),
                *(
                    ("wrong_script", words)
                    for words in scripts.wrong(source, language.source, self.source)
                ),
                *(
                    ("wrong_script", words)
                    for words in scripts.wrong(target, language.output, self.target)
                ),
            ]
            if found:
                reasons[int(index)] = found
        return reasons

    def scorer(self, facts: Facts) -> TranslationScorer:
        """BLEU and chrF++."""
        from tasks.applications.shared.translation_scores import TranslationScorer

        return TranslationScorer(facts["language"])

    def baseline_name(self, data: Data) -> str:
        """No translation at all."""
        return "copy of the source"

    def baseline(self, frame: pd.DataFrame, facts: Facts) -> Predictions:
        """The source as it is."""
        return {"text": frame[self.source].to_list()}


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


APPLICATION: Any = Translation(
    name="translation",
    version=1,
    uses=Translation.uses | {"language.target"} | RULES,
    source="source",
    target="target",
    output="translation",
)
