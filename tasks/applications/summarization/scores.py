"""ROUGE (Lin 2004) through rouge-score, with a tokenizer that fits the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from tasks.applications.bootstrap import mean_of
from tasks.applications.scoring import Predictions
from tasks.applications.shared.generation.scores import Floats, Ints, TextScorer
from tasks.applications.shared.generation.serving import sentences
from tasks.text.languages import UNSPACED

TYPES: Final = ("rouge1", "rouge2", "rougeL", "rougeLsum")
TOKEN: Final = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")


class WordsAndCharacters:
    """Words in lower case, and single characters of scripts without spaces.

    The tokenizer of rouge-score knows Latin letters and digits only; others it drops.
    """

    def tokenize(self, text: str) -> list[str]:
        return TOKEN.findall(text.lower())


class SummaryScorer(TextScorer):
    """Keeps four F-measures of each row; English is stemmed, as the original ROUGE does."""

    def __init__(self, language: str) -> None:
        from rouge_score.rouge_scorer import RougeScorer

        super().__init__("document", "summary", ("rougeLsum", "ROUGE-Lsum"))
        self.stems = language.startswith("en")
        tokenizer = None if self.stems else WordsAndCharacters()
        self.scorer = RougeScorer(list(TYPES), use_stemmer=self.stems, tokenizer=tokenizer)
        self._measures: list[list[float]] = []

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        super().update(targets, predictions)
        for summary, text in zip(targets["summary"], predictions["text"], strict=True):
            scores = self.scorer.score(_lines(summary), _lines(text))
            self._measures.append([100 * scores[name].fmeasure for name in TYPES])

    def scores(self, rows: Ints | slice) -> dict[str, float]:
        means = np.array(self._measures)[rows].mean(0)
        return dict(zip(TYPES, map(float, means), strict=True))

    def row_scores(self) -> Floats:
        return np.array(self._measures)[:, TYPES.index("rougeLsum")]

    def resampled(self, metric: str, weights: Ints) -> Floats:
        if metric == "length_ratio":
            return self.length_ratios(weights)
        return mean_of(np.array(self._measures)[:, TYPES.index(metric)], weights)

    def signatures(self) -> dict[str, str]:
        words = "words|stem:porter" if self.stems else "words and characters|stem:no"
        return {"rouge": f"rouge-score:{version('rouge-score')}|tok:{words}|split:sentences"}


def _lines(text: str) -> str:
    """One sentence per line, which is how ROUGE-Lsum finds them."""
    return "\n".join(sentences(text))
