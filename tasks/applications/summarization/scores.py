"""ROUGE (Lin 2004) through rouge-score, with a tokenizer that fits the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.applications.scoring import Predictions, Scorer
from tasks.applications.shared.bootstrap import interval_of, mean_of
from tasks.applications.shared.generation.figures import length_groups, row_scores
from tasks.text.languages import UNSPACED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


TYPES: Final = ("rouge1", "rouge2", "rougeL", "rougeLsum")
TOKEN: Final = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")


class WordsAndCharacters:
    """Words in lower case, and single characters of scripts without spaces.

    The tokenizer of rouge-score knows Latin letters and digits only; others it drops.
    """

    def tokenize(self, text: str) -> list[str]:
        return TOKEN.findall(text.lower())


class SummaryScorer(Scorer):
    """Keeps four F-measures and the lengths of each row.

    Args:
        language: of the summaries; English is stemmed, as the original ROUGE does.
    """

    def __init__(self, language: str) -> None:
        from rouge_score.rouge_scorer import RougeScorer

        self.stems = language.startswith("en")
        tokenizer = None if self.stems else WordsAndCharacters()
        self.scorer = RougeScorer(list(TYPES), use_stemmer=self.stems, tokenizer=tokenizer)
        self._rows: list[list[float]] = []

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows: ``document`` and ``summary``, and the ``text`` that was written."""
        for document, summary, text in zip(
            targets["document"], targets["summary"], predictions["text"], strict=True
        ):
            scores = self.scorer.score(_lines(summary), _lines(text))
            measures = [100 * scores[name].fmeasure for name in TYPES]
            self._rows.append([*measures, len(summary), len(text), len(document)])

    @property
    def rows(self) -> NDArray[np.float64]:
        """Four F-measures, and characters of reference, output and document; a row each."""
        return np.array(self._rows, dtype=np.float64)

    def metrics(self) -> dict[str, float]:
        """Mean F-measures from 0 to 100; characters written for each of the references."""
        means = self.rows.mean(0)
        measured = dict(zip(TYPES, map(float, means), strict=False))
        return measured | {
            "length_ratio": float(means[5] / means[4]),
            "rows": float(len(self._rows)),
        }

    def interval(self, metric: str, samples: int, confidence: float) -> tuple[float, float]:
        rows = self.rows
        if metric == "length_ratio":
            return interval_of(rows, lambda s: float(s[5] / s[4]), samples, confidence)
        column = TYPES.index(metric)
        return interval_of(rows, lambda s: float(s[column] / len(rows)), samples, confidence)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = self.rows
        if metric == "length_ratio":
            return mean_of(rows[:, 5], weights) / mean_of(rows[:, 4], weights)
        return mean_of(rows[:, TYPES.index(metric)], weights)

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        rows = self.rows
        return [
            {"document characters": name, "rows": len(positions)}
            | dict(zip(TYPES, map(float, rows[positions].mean(0)), strict=False))
            for name, positions in length_groups(rows[:, 6].astype(int).tolist())
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Rows with the lowest ROUGE-Lsum, and their lengths in characters."""
        rows = self.rows
        order = np.argsort(rows[:, 3], kind="stable")[:limit]
        return [
            {
                "position": int(index),
                "rougeLsum": float(rows[index, 3]),
                "reference_characters": int(rows[index, 4]),
                "written_characters": int(rows[index, 5]),
            }
            for index in order
        ]

    def figures(self) -> dict[str, Figure]:
        return {"row_scores": row_scores(self.rows[:, 3], "ROUGE-Lsum")}

    def signatures(self) -> dict[str, str]:
        words = "words|stem:porter" if self.stems else "words and characters|stem:no"
        return {"rouge": f"rouge-score:{version('rouge-score')}|tok:{words}|split:sentences"}


def _lines(text: str) -> str:
    """A sentence a line, which is how ROUGE-Lsum finds them."""
    from tasks.applications.shared.generation.serving import sentences

    return "\n".join(sentences(text))
