"""Questions about a text: find the answer in it, or predict that it has none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from configs.language import english
from configs.schema import Data
from tasks.applications.base import Application, Baseline, Predictions, Scoring, Serving
from tasks.applications.questions.config import QuestionPipeline
from tasks.applications.questions.learning import QuestionFacts, QuestionLearning
from tasks.applications.questions.rows import QuestionRows
from tasks.applications.questions.rules import SUBSET_METRICS, QuestionRules
from tasks.applications.questions.tokens import QuestionTokens
from tasks.applications.scoring import Metric, Scorer, percentages

if TYPE_CHECKING:
    import pandas as pd

    from tasks.text.retrieval import Ranking

SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。\uff01\uff1f])\s*|\n+")


class QuestionScoring(Scoring[QuestionFacts]):
    """Exact match and F1, as the SQuAD scripts define them."""

    def metrics(self, data: Data) -> tuple[Metric, ...]:
        """From 0 to 100; the last ones need rows without an answer."""
        return percentages("f1", "exact_match", *SUBSET_METRICS)

    def scorer(self, facts: QuestionFacts) -> Scorer:
        from tasks.applications.questions.scores import AnswerScorer

        return AnswerScorer(facts.language, facts.unanswerable)

    def served(self, predictions: pd.DataFrame) -> Predictions:
        return {name: predictions[name].to_list() for name in ("answer", "answered", "score")}

    def categories(self, predictions: pd.DataFrame) -> list[str] | None:
        return [
            "answered" if answered else english("no answer") for answered in predictions["answered"]
        ]


class BestSentence(Baseline[QuestionFacts]):
    """The sentence of the context that shares most words with the question."""

    def name(self, data: Data) -> str:
        return english("best BM25 sentence")

    def predict(self, frame: pd.DataFrame, facts: QuestionFacts) -> Predictions:
        """The sentence of the context that BM25 ranks first; the first one where none fits."""
        from tasks.text.retrieval import Ranking

        known: dict[str, tuple[list[str], Ranking]] = {}
        answers = []
        for context, question in zip(frame["context"], frame["question"], strict=True):
            if context not in known:
                parts = sentences(context)
                known[context] = (parts, Ranking(parts))
            parts, ranking = known[context]
            answers.append(parts[next(iter(ranking.best(question, 1)), 0)])
        rows = len(answers)
        return {"answer": answers, "answered": [True] * rows, "score": [1.0] * rows}


def sentences(text: str) -> list[str]:
    """Pieces of a text that end in a full stop, question or exclamation mark, or a line."""
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()] or [text]


APPLICATION = Application(
    name="questions",
    version=2,
    heads=("question-answering",),
    pipeline=QuestionPipeline,
    facts=QuestionFacts,
    rows=QuestionRows(),
    rules=QuestionRules(),
    learning=QuestionLearning(),
    tokens=QuestionTokens(),
    scoring=QuestionScoring(),
    baseline=BestSentence(),
    serving=Serving(Path(__file__).parent / "serving.py"),
)
