"""BLEU and chrF++ through sacreBLEU, with the tokenizer that the target language needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tasks.applications.scoring import Predictions
from tasks.applications.shared.generation.scores import Floats, Ints, TextScorer
from tasks.text.languages import has_spaces

TOKENIZERS: Final = dict.fromkeys(("cmn", "wuu", "yue", "zh", "zho"), "zh")


def tokenizer_for(language: str) -> str:
    """The tokenizer of sacreBLEU for a language (Post 2018); WMT's own unless it has none."""
    base = re.split("[-_]", language)[0]
    return TOKENIZERS.get(base, "13a" if has_spaces(base) else "char")


class TranslationScorer(TextScorer):
    """Keeps the sufficient statistics of each row, from which any sample's scores follow."""

    def __init__(self, language: str) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        super().__init__("source", "target", ("chrf", "chrF++"))
        self.measures = {"bleu": BLEU(tokenize=tokenizer_for(language)), "chrf": CHRF(word_order=2)}
        self._statistics: dict[str, list[list[int]]] = {"bleu": [], "chrf": []}

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        super().update(targets, predictions)
        texts, references = list(predictions["text"]), list(targets["target"])
        for name, measure in self.measures.items():
            self._statistics[name] += measure._extract_corpus_statistics(texts, [references])

    def scores(self, rows: Ints | slice) -> dict[str, float]:
        return {
            name: self._score(name, np.array(statistics)[rows].sum(0))
            for name, statistics in self._statistics.items()
        }

    def row_scores(self) -> Floats:
        return np.array([self._score("chrf", one) for one in self._statistics["chrf"]])

    def _score(self, metric: str, statistics: Any) -> float:
        values = [int(value) for value in statistics]
        return float(self.measures[metric]._compute_score_from_stats(values).score)

    def resampled(self, metric: str, weights: Ints) -> Floats:
        if metric == "length_ratio":
            return self.length_ratios(weights)
        sums = weights @ np.array(self._statistics[metric])
        return np.array([self._score(metric, one) if one.any() else np.nan for one in sums])

    def signatures(self) -> dict[str, str]:
        """What sacreBLEU asks to be quoted beside a score."""
        return {name: one.get_signature().format() for name, one in self.measures.items()}
