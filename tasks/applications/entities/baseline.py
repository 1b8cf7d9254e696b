"""The trivial method: entities of the training rows, wherever their words occur again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from configs.language import english
from configs.schema import Data
from tasks.applications.base import Baseline, Predictions
from tasks.applications.entities.learning import EntityFacts

if TYPE_CHECKING:
    import pandas as pd


WORD: Final = re.compile(r"\w+|[^\w\s]")
LONGEST: Final = 12
"""Words of the longest known entity."""


class KnownEntities(Baseline[EntityFacts]):
    """A dictionary from the words of training entities to their most frequent type.

    The longest known entity wins, from left to right, as in the baseline of CoNLL-2003 (Tjong Kim
    Sang and De Meulder 2003).
    """

    def __init__(self, types: Mapping[tuple[str, ...], str] | None = None) -> None:
        self._types = types or {}

    def name(self, data: Data) -> str:
        return english("dictionary of training entities")

    def fit(self, frames: Iterable[pd.DataFrame], facts: EntityFacts) -> KnownEntities:
        counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for frame in frames:
            for text, spans in zip(frame["text"], frame["entities"], strict=True):
                for span in spans:
                    counts[_words(text[span["start"] : span["end"]])][span["label"]] += 1
        return KnownEntities({words: _most_frequent(types) for words, types in counts.items()})

    def predict(self, frame: pd.DataFrame, facts: EntityFacts) -> Predictions:
        return {"entities": [list(self._found(text)) for text in frame["text"]]}

    def _found(self, text: str) -> Iterator[dict[str, Any]]:
        words = [(match.start(), match.end()) for match in WORD.finditer(text)]
        at = 0
        while at < len(words):
            lengths = range(min(LONGEST, len(words) - at), 0, -1)
            spans = ((words[at][0], words[at + length - 1][1]) for length in lengths)
            known = ((start, end, self._types.get(_words(text[start:end]))) for start, end in spans)
            start, end, label = next((one for one in known if one[2]), (0, 0, None))
            if label:
                yield {"start": start, "end": end, "label": label, "score": 1.0}
            at += len(_words(text[start:end])) if label else 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.lower()))


def _most_frequent(types: Counter[str]) -> str:
    return min(types, key=lambda label: (-types[label], label))
