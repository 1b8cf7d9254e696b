"""BLEU and chrF++ through sacreBLEU, with the tokenizer that the target language needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.applications.scoring import Predictions, Scorer
from tasks.applications.shared.bootstrap import interval_of, mean_of
from tasks.applications.shared.generation.figures import length_groups, row_scores
from tasks.text.languages import has_spaces

if TYPE_CHECKING:
    from matplotlib.figure import Figure


TOKENIZERS: Final = dict.fromkeys(("cmn", "wuu", "yue", "zh", "zho"), "zh")
Floats = NDArray[np.float64]


def tokenizer_for(language: str) -> str:
    """The tokenizer of sacreBLEU for a language (Post 2018); WMT's own unless it has none."""
    base = re.split("[-_]", language)[0]
    return TOKENIZERS.get(base, "13a" if has_spaces(base) else "char")


class TranslationScorer(Scorer):
    """Keeps the sufficient statistics of each row, from which any sample's scores follow.

    Args:
        language: of the translations.
    """

    def __init__(self, language: str) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        self.bleu = BLEU(tokenize=tokenizer_for(language))
        self.chrf = CHRF(word_order=2)
        self._bleu: list[list[int]] = []
        self._chrf: list[list[int]] = []
        self._lengths: list[tuple[int, int, int]] = []

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``source`` and ``target`` texts, and the ``text`` that was written."""
        texts, references = list(predictions["text"]), list(targets["target"])
        self._bleu += self.bleu._extract_corpus_statistics(texts, [references])
        self._chrf += self.chrf._extract_corpus_statistics(texts, [references])
        triples = zip(targets["source"], references, texts, strict=True)
        self._lengths += [(len(s), len(r), len(t)) for s, r, t in triples]
        self.__dict__.pop("rows", None)

    @cached_property
    def rows(self) -> Floats:
        """chrF++ of each row alone."""
        return np.array([self.chrf._compute_score_from_stats(s).score for s in self._chrf])

    def metrics(self) -> dict[str, float]:
        """Corpus scores from 0 to 100; characters written for each of the references."""
        lengths = np.array(self._lengths, dtype=np.float64)
        return {
            "bleu": self._score("bleu", np.sum(self._bleu, axis=0)),
            "chrf": self._score("chrf", np.sum(self._chrf, axis=0)),
            "length_ratio": float(lengths[:, 2].sum() / lengths[:, 1].sum()),
            "rows": float(len(self._bleu)),
        }

    def _score(self, metric: str, statistics: Any) -> float:
        scorer = self.bleu if metric == "bleu" else self.chrf
        return float(scorer._compute_score_from_stats([int(s) for s in statistics]).score)

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        """Percentile bootstrap over rows (Koehn 2004), with a fixed seed."""
        if metric == "length_ratio":
            lengths = np.array(self._lengths, dtype=np.float64)
            return interval_of(lengths, lambda s: float(s[2] / s[1]), samples, confidence)
        rows = np.array(self._bleu if metric == "bleu" else self._chrf, dtype=np.float64)
        return interval_of(rows, lambda s: self._score(metric, s), samples, confidence)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> Floats:
        if metric == "length_ratio":
            _, references, written = np.array(self._lengths, dtype=np.float64).T
            return mean_of(written, weights) / mean_of(references, weights)
        sums = weights @ np.array(self._bleu if metric == "bleu" else self._chrf)
        scores = [self._score(metric, one) if one.any() else np.nan for one in sums]
        return np.array(scores)

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        groups = length_groups([source for source, _, _ in self._lengths])
        bleu, chrf = np.array(self._bleu), np.array(self._chrf)
        return [
            {
                "source characters": name,
                "rows": len(rows),
                "bleu": self._score("bleu", bleu[rows].sum(0)),
                "chrf": self._score("chrf", chrf[rows].sum(0)),
            }
            for name, rows in groups
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Rows with the lowest chrF++, and their lengths in characters."""
        order = np.argsort(self.rows, kind="stable")[:limit]
        return [
            {
                "position": int(index),
                "chrf": float(self.rows[index]),
                "reference_characters": self._lengths[index][1],
                "written_characters": self._lengths[index][2],
            }
            for index in order
        ]

    def figures(self) -> dict[str, Figure]:
        return {"row_scores": row_scores(self.rows, "chrF++")}

    def signatures(self) -> dict[str, str]:
        """What sacreBLEU asks to be quoted beside a score."""
        return {
            "bleu": self.bleu.get_signature().format(),
            "chrf": self.chrf.get_signature().format(),
        }
