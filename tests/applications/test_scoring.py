"""Every metric of every scorer follows from how often each row counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tasks.applications.questions.scores import AnswerScorer
from tasks.applications.scoring import Scorer
from tasks.applications.shared.classification.scores.multi_label import MultiLabelScorer
from tasks.applications.shared.classification.scores.ordinal import OrdinalScorer
from tasks.applications.shared.classification.scores.single_label import ClassificationScorer
from tasks.applications.summarization.scores import SummaryScorer
from tasks.applications.translation.scores import TranslationScorer

ROWS = 24
LABELS = ["a", "b", "c"]
WORDS = ["the", "train", "to", "the", "coast", "was", "late", "again", "on", "sunday"]


@dataclass(frozen=True)
class Case:
    """A scorer, and rows for it as lists of the same length."""

    make: Callable[[], Scorer]
    targets: Mapping[str, Sequence[Any]]
    predictions: Mapping[str, Sequence[Any]]

    def scored(self, rows: Sequence[int]) -> Scorer:
        """The scorer after some rows, each as often as it is named."""
        scorer = self.make()
        scorer.update(
            {name: [values[row] for row in rows] for name, values in self.targets.items()},
            {name: [values[row] for row in rows] for name, values in self.predictions.items()},
        )
        return scorer


def text(seed: int, words: int) -> str:
    generator = np.random.default_rng(seed)
    return " ".join(generator.choice(WORDS, words))


GENERATOR = np.random.default_rng(3)
SHARES = GENERATOR.dirichlet([1, 1, 1], ROWS)
TRUE = GENERATOR.integers(0, 3, ROWS)
SOURCES = [text(row, 9) for row in range(ROWS)]
REFERENCES = [text(100 + row, 6) for row in range(ROWS)]
WRITTEN = [f"{text(200 + row, 3)} {REFERENCES[row][:12]}" for row in range(ROWS)]
CASES = {
    "one label": Case(
        lambda: ClassificationScorer(LABELS), {"label": TRUE}, {"probabilities": list(SHARES)}
    ),
    "scale": Case(
        lambda: OrdinalScorer(LABELS, [1.0, 2.0, 3.0]),
        {"label": TRUE},
        {"score": list(1 + 2 * GENERATOR.random(ROWS))},
    ),
    "several labels": Case(
        lambda: MultiLabelScorer(LABELS, 0.4),
        {"labels": list(GENERATOR.integers(0, 2, (ROWS, 3)))},
        {"probabilities": list(GENERATOR.random((ROWS, 3)))},
    ),
    "answers": Case(
        lambda: AnswerScorer("en", unanswerable=True),
        {"answer_texts": [[] if row % 3 == 0 else [REFERENCES[row]] for row in range(ROWS)]},
        {
            "answer": WRITTEN,
            "answered": [row % 5 != 0 for row in range(ROWS)],
            "score": [0.5] * ROWS,
        },
    ),
    "translation": Case(
        lambda: TranslationScorer("en"),
        {"source": SOURCES, "target": REFERENCES},
        {"text": WRITTEN},
    ),
    "summaries": Case(
        lambda: SummaryScorer("en"),
        {"document": SOURCES, "summary": REFERENCES},
        {"text": WRITTEN},
    ),
}
WEIGHTS = np.random.default_rng(5).multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=4)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_weighted_metric_is_that_of_repeated_rows(case: Case) -> None:
    scorer = case.scored(range(ROWS))
    for weights in WEIGHTS:
        expected = case.scored(np.repeat(np.arange(ROWS), weights).tolist()).metrics()
        expected.pop("rows")
        for name, value in expected.items():
            found = scorer.resampled(name, weights[None])
            assert found.shape == (1,)
            assert found[0] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_with_each_row_once_it_is_the_metric(case: Case) -> None:
    scorer = case.scored(range(ROWS))
    ones = np.ones((2, ROWS), dtype=np.int64)
    for name, value in scorer.metrics().items():
        if name != "rows":
            assert scorer.resampled(name, ones) == pytest.approx([value, value], rel=1e-6), name


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_without_rows_there_is_no_metric(case: Case) -> None:
    scorer = case.scored(range(ROWS))
    nothing = np.zeros((1, ROWS), dtype=np.int64)
    for name in scorer.metrics().keys() - {"rows"}:
        assert math.isnan(scorer.resampled(name, nothing)[0]), name
