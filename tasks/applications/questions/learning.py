"""Facts, model and loss of questions, for any model with a question-answering head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from configs.schema import Data
from configs.training import Loss
from tasks.applications.base import (
    Batch,
    Facts,
    Learning,
    Objective,
    Predictions,
    View,
    model_inputs,
)
from tasks.applications.facts import Census
from tasks.applications.questions.config import QuestionPipeline
from tasks.applications.shared import losses

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class QuestionFacts(Facts):
    """What a model that finds answers freezes; the other fields are as in ``answering``.

    Attributes:
        answered: rows with an answer, by split.
        unanswered: rows without an answer, by split.
        language: of the contexts.
        null_threshold: by how much having no answer must lead for the model to say so.
    """

    answered: Mapping[str, int]
    unanswered: Mapping[str, int]
    language: str = ""
    stride: int = 0
    max_answer_length: int = 0
    n_best: int = 0
    unanswerable: bool = False
    null_threshold: float | None = None


class QuestionLearning(Learning[QuestionFacts, QuestionPipeline]):
    """Two logits per token: the start and the end of the answer."""

    def learn(self, census: Census, data: Data) -> QuestionFacts:
        return QuestionFacts(
            inputs=("context", "question"),
            answered={split: counts.get(True, 0) for split, counts in census.counts.items()},
            unanswered={split: counts.get(False, 0) for split, counts in census.counts.items()},
        )

    def configure(self, facts: QuestionFacts, config: QuestionPipeline) -> QuestionFacts:
        section = config.answering.model_dump()
        return replace(facts, language=config.language.source, **section)

    def objective(self, facts: QuestionFacts, loss: Loss) -> Objective:
        return SpanLoss(losses.of(loss))

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of starts and of ends, of shape (windows, 2, length)."""
        import torch

        output = model(**model_inputs(batch))
        return torch.stack([output.start_logits, output.end_logits], 1)

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """The best span of each window; the scorer puts the windows of a row together."""
        from tasks.applications.questions import serving

        positions = batch["row"].cpu().numpy()
        table = view.rows.take(positions)
        contexts = table["context"].to_pylist()
        found = serving.find_spans(
            outputs,
            batch["offset_start"],
            batch["offset_end"],
            view.facts.max_answer_length,
            1,
        )
        best = [spans[0] if spans else None for spans in found]
        predictions = {
            "row": positions.tolist(),
            "answer": [
                context[span.start : span.end] if span else ""
                for context, span in zip(contexts, best, strict=True)
            ],
            "rank": [serving.rank(span) if span else None for span in best],
            "null": serving.null_scores(outputs, batch["null"]),
        }
        return {"answer_texts": table["answer_texts"].to_pylist()}, predictions


class SpanLoss(losses.RowObjective, losses.TargetObjective):
    """The mean of the losses of start and end, as in Transformers, summed over windows."""

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        import torch

        return self.loss(outputs, torch.stack([batch["start"], batch["end"]], 1)) / 2
