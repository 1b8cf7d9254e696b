"""Checks of answers and of the settings about them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from configs.language import english
from tasks.applications.base import Problems, Reasons, Rules, broken_rules
from tasks.applications.facts import Census
from tasks.applications.questions.config import QuestionPipeline
from tasks.applications.questions.learning import QuestionFacts
from tasks.applications.questions.rows import is_canonical

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema


SUBSET_METRICS: Final = ("has_answer_f1", "has_answer_exact", "no_answer_accuracy")
"""Metrics over the rows with, or without, an answer."""


class QuestionRules(Rules[QuestionFacts, QuestionPipeline]):
    """Answers are at their offsets, and rows without one are declared."""

    def check(self, config: QuestionPipeline) -> Problems:
        loss = config.training.loss
        if config.data.labels is not None:
            yield "data.labels", english("questions have answers and no labels; leave it out")
        if config.data.labelling != "single":
            yield "data.labelling", english("questions have answers and no labels; leave it out")
        if loss.class_weights != "none":
            yield (
                "training.loss.class_weights",
                english("questions have no classes to weigh; leave it out"),
            )
        if loss.label_smoothing:
            reason = english(
                "the classes are positions, among them padding; questions cannot smooth them"
            )
            yield "training.loss.label_smoothing", reason
        length, stride = config.model.max_length, config.answering.stride
        declared = "stride" in config.answering.model_fields_set
        if declared and isinstance(length, int) and stride > length // 2:
            reason = english(
                "expected at most half of model.max_length, {length}, found {stride}",
                length=length // 2,
                stride=stride,
            )
            yield "answering.stride", reason
        if config.evaluation.primary_metric in SUBSET_METRICS and not config.answering.unanswerable:
            reason = english(
                "{primary_metric} needs answering.unanswerable: true",
                primary_metric=config.evaluation.primary_metric,
            )
            yield "evaluation.primary_metric", reason

    def check_facts(self, config: QuestionPipeline, facts: QuestionFacts) -> Problems:
        """The primary metric is about some rows of each split that it is taken of."""
        primary_metric = config.evaluation.primary_metric
        if primary_metric not in SUBSET_METRICS:
            return
        for split in ("validation", "test"):
            for counts, words in ((facts.answered, "with"), (facts.unanswered, "without")):
                if not counts.get(split):
                    reason = english(
                        "no row of the {split} split is {words} an answer", split=split, words=words
                    )
                    yield (
                        "evaluation.primary_metric",
                        english(
                            "{primary_metric} needs such rows: {reason}",
                            primary_metric=primary_metric,
                            reason=reason,
                        ),
                    )

    def inputs(self, config: QuestionPipeline) -> dict[str, Any]:
        return {"unanswerable": config.answering.unanswerable}

    def schema(self, config: QuestionPipeline) -> DataFrameSchema:
        from pandera.pandas import Column as Checked
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import cell, text_column

        words = english(
            "expected `text`, a list of texts, and `answer_start`, as many whole numbers"
        )
        answers = Checked(object, [cell("wrong_type", words, is_canonical)], nullable=False)
        return DataFrameSchema(
            {"context": text_column(), "question": text_column(), "answers": answers}
        )

    def findings(self, frame: pd.DataFrame, config: QuestionPipeline) -> Reasons:
        check = partial(_broken, unanswerable=config.answering.unanswerable)
        return broken_rules(frame, ("context", "answers"), check)

    def dataset_problems(self, census: Census, facts: QuestionFacts, minimum: int) -> list[str]:
        return (
            [] if census.counts["train"].get(True) else [english("no training row has an answer")]
        )


def _broken(context: str, answers: dict[str, Any], unanswerable: bool) -> Problems:
    if not answers["text"] and not unanswerable:
        yield "answer_missing", english("no answer, and answering.unanswerable is false")
    for number, (text, start) in enumerate(zip(*answers.values(), strict=True), 1):
        if not text.strip():
            yield "answer_offset", english("answer {number}: the text is empty", number=number)
        elif start < 0 or not context.startswith(text, start):
            where = _nearest(context, text, start)
            place = (
                english("it does not occur in the context")
                if where < 0
                else english("it occurs at {where}", where=where)
            )
            words = english(
                "answer {number}: offset {start} does not point at the answer; {place}",
                number=number,
                start=start,
                place=place,
            )
            yield "answer_offset", words


def _nearest(context: str, text: str, start: int) -> int:
    """Where a text occurs nearest to an offset; -1 if nowhere."""
    places = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(places, key=lambda place: abs(place - start), default=-1)
