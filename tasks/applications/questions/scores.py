"""Metrics of answers: exact match and F1 as the official SQuAD and MLQA scripts define them."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.applications.bootstrap import mean_of
from tasks.applications.questions.rules import SUBSET_METRICS
from tasks.applications.scoring import Predictions, Scorer
from tasks.text.languages import UNSPACED, has_spaces

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ARTICLES: Final = {
    "en": "a|an|the",
    "de": "ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des",
    "es": "un|una|unos|unas|el|la|los|las",
    "vi": "của|là|cái|chiếc|những",
}
"""What MLQA (Lewis et al. 2020) leaves out of each language."""
EVERY_ROW: Final = ("f1", "exact_match")
"""Metrics over all rows."""
SPAN: Final = ("answer", "rank", "null")
NO_SPAN: Final = (np.inf, 0, 0)
"""The rank of a window without a span: the last."""
ALONE: Final = re.compile(f"([{UNSPACED}])")
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def answer_tokens(text: str, language: str) -> list[str]:
    """What answers are compared by: in lower case, without punctuation and articles.

    English follows SQuAD 2.0 to the letter. Characters of scripts without spaces are tokens of
    their own, as in MLQA and CMRC.
    """
    text = text.lower()
    if language == "en":
        text = "".join(c for c in text if c not in string.punctuation)
    else:
        text = "".join(c for c in text if not _is_punctuation(c))
    family = re.split("[-_]", language)[0]
    if family in ARTICLES:
        text = re.sub(rf"\b({ARTICLES[family]})\b", " ", text)
    if not has_spaces(language):
        text = ALONE.sub(r" \1 ", text)
    return text.split()


@lru_cache(maxsize=4096)
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def exact_match(gold: Sequence[str], found: Sequence[str]) -> float:
    """1 if the tokens are the same."""
    return float(list(gold) == list(found))


def token_f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over tokens; without any on a side, exact match."""
    if not gold or not found:
        return exact_match(gold, found)
    common = sum((Counter(gold) & Counter(found)).values())
    return 2 * common / (len(gold) + len(found))


class ScoredAnswer(NamedTuple):
    """A row that was scored.

    ``blank`` is what an empty answer would have scored, and ``lead`` by how much having no answer
    beats the best span, where the threshold is still open.
    """

    exact: float
    f1: float
    blank: float
    answerable: bool
    answered: bool
    score: float
    lead: float = -np.inf


def score_answer(golds: Iterable[str], answer: str, language: str) -> tuple[float, float, float]:
    """Exact match and F1 of an answer against the best gold answer, and what a blank scores."""
    tokens = [answer_tokens(gold, language) for gold in golds]
    expected = [gold for gold in tokens if gold] or [[]]
    found = answer_tokens(answer, language)
    exact = max(exact_match(gold, found) for gold in expected)
    f1 = max(token_f1(gold, found) for gold in expected)
    return exact, f1, float(expected == [[]])


class _Window(NamedTuple):
    """The best span of a row so far, in the order in which spans rank, with its scores."""

    rank: tuple[float, int, int]
    null: float
    answer: ScoredAnswer


class AnswerScorer(Scorer):
    """Scores answers of rows, or spans of windows that are put together here.

    The score below which the answer to a span is unknown is not given: it is the threshold with
    the highest F1 on these rows.
    """

    def __init__(self, language: str, unanswerable: bool) -> None:
        self.language = language
        self.unanswerable = unanswerable
        self._answers: list[ScoredAnswer] = []
        self._windows: dict[int, _Window] = {}

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in answers, or the best span of each window if there is a ``row``.

        Args:
            targets: ``answer_texts``, the gold answers of each entry.
            predictions: ``answer``, and either ``answered`` and ``score`` (a probability), or
                ``row``, ``rank`` (of the span; None without one) and ``null`` (the score of having
                no answer).
        """
        self.__dict__.pop("_table", None)
        golds = targets["answer_texts"]
        if "row" in predictions:
            for at, row in enumerate(predictions["row"]):
                self._see(int(row), golds[at], {name: predictions[name][at] for name in SPAN})
            return
        columns = (predictions[name] for name in ("answer", "answered", "score"))
        for gold, answer, answered, score in zip(golds, *columns, strict=True):
            values = score_answer(gold, answer if answered else "", self.language)
            self._answers.append(ScoredAnswer(*values, len(gold) > 0, bool(answered), float(score)))

    def _see(self, row: int, gold: Sequence[str], span: Mapping[str, Any]) -> None:
        known = self._windows.get(row)
        null = span["null"] if known is None else min(span["null"], known.null)
        order = NO_SPAN if span["rank"] is None else tuple(span["rank"])
        if known is None or order < known.rank:
            values = score_answer(gold, span["answer"], self.language)
            scored = ScoredAnswer(*values, len(gold) > 0, order != NO_SPAN, 0.0)
            self._windows[row] = _Window(order, null, scored)
        else:
            self._windows[row] = known._replace(null=null)

    def _rows(self) -> list[ScoredAnswer]:
        if not self._windows:
            return self._answers
        threshold = self.learned().get("null_threshold", np.inf)
        rows = [_score_row(self._windows[row]) for row in sorted(self._windows)]
        return [row._replace(answered=row.answered and row.lead <= threshold) for row in rows]

    def learned(self) -> dict[str, Any]:
        """The lead of having no answer up to which a span is given, for the highest F1.

        As ``find_best_thresh`` of the official SQuAD 2.0 script, but half-way to the next row, so
        that rounding does not turn a row over.
        """
        if not self.unanswerable or not self._windows:
            return {}
        rows = [_score_row(window) for window in self._windows.values()]
        lead = np.array([row.lead for row in rows if row.answered])
        gain = np.array([row.f1 - row.blank for row in rows if row.answered])
        return {"null_threshold": best_threshold(lead, gain)}

    @cached_property
    def _table(self) -> tuple[Floats, Floats, Flags, Flags, Floats]:
        """Exact match, F1, whether answerable, whether answered, and the score of each row."""
        rows = self._rows()
        return (
            np.array([row.exact if row.answered else row.blank for row in rows]),
            np.array([row.f1 if row.answered else row.blank for row in rows]),
            np.array([row.answerable for row in rows], dtype=bool),
            np.array([row.answered for row in rows], dtype=bool),
            np.array([row.score for row in rows]),
        )

    def metrics(self) -> dict[str, float]:
        """Means over the rows, 0 to 100, also apart for rows with and without an answer."""
        names = EVERY_ROW if self._table[2].all() else (*EVERY_ROW, *SUBSET_METRICS)
        found = {name: 100 * self._about(name)[1] for name in names}
        means = {name: float(values.mean()) for name, values in found.items() if len(values)}
        return means | {"rows": float(len(self._windows) or len(self._answers))}

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> Floats:
        about, values = self._about(metric)
        return 100 * mean_of(values, weights[:, about])

    def _about(self, metric: str) -> tuple[Flags, Floats]:
        """The rows that a metric is about, and what it is the mean of."""
        exact, f1, answerable, answered, _ = self._table
        every = np.ones(len(f1), dtype=bool)
        chosen = {
            "f1": (every, f1),
            "exact_match": (every, exact),
            "has_answer_f1": (answerable, f1),
            "has_answer_exact": (answerable, exact),
            "no_answer_accuracy": (~answerable, (~answered).astype(np.float64)),
        }
        about, values = chosen[metric]
        return about, values[about]

    def metric_rows(self, metric: str) -> Flags:
        """Those with an answer, those without, or all."""
        return self._about(metric)[0]

    def correctness(self) -> Floats:
        """Whether the answer matches exactly."""
        return self._table[0]

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        exact, f1, answerable, answered, _ = self._table
        groups = {"all": np.ones_like(answerable)}
        if not answerable.all():
            groups |= {"answerable": answerable, "unanswerable": ~answerable}
        return [
            {
                "rows": name,
                "f1": float(100 * f1[chosen].mean()),
                "exact_match": float(100 * exact[chosen].mean()),
                "answered": int(answered[chosen].sum()),
                "support": int(chosen.sum()),
            }
            for name, chosen in groups.items()
            if chosen.any()
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Answers that do not match, most confident first."""
        exact, f1, answerable, answered, score = self._table
        places = np.array(sorted(self._windows) or range(len(exact)), dtype=np.int64)
        wrong = np.flatnonzero(exact < 1)
        order = wrong[np.argsort(-score[wrong], kind="stable")][:limit]
        return [
            {
                "position": int(places[at]),
                "answerable": bool(answerable[at]),
                "answered": bool(answered[at]),
                "score": float(score[at]),
                "f1": float(100 * f1[at]),
            }
            for at in order
        ]

    def figures(self) -> dict[str, Figure]:
        _, f1, answerable, _, _ = self._table
        return {"answer_f1": f1_histogram(100 * f1, answerable)}

    def signatures(self) -> dict[str, str]:
        script = "SQuAD 2.0" if self.language == "en" else "MLQA"
        unit = "words" if has_spaces(self.language) else "characters"
        return {"f1": f"{script}, {unit}, language {self.language}"}


def _score_row(window: _Window) -> ScoredAnswer:
    """The row of all its windows; a span's score is its probability against having no answer."""
    lead = window.null + window.rank[0]
    score = 0.0 if not window.answer.answered else 1 / (1 + np.exp(np.clip(lead, -500, 500)))
    return window.answer._replace(lead=lead, score=float(score))


def best_threshold(lead: Floats, gain: Floats) -> float:
    """Where to cut rows, sorted by ``lead``, so that those before it gain most in total."""
    if not len(lead):
        return 0.0
    leads, which = np.unique(lead, return_inverse=True)
    totals = np.concatenate([[0.0], np.bincount(which, weights=gain).cumsum()])
    edges = np.concatenate([[leads[0] - 2.0], leads, [leads[-1] + 2.0]])
    kept = int(totals.argmax())
    return float((edges[kept] + edges[kept + 1]) / 2)


def f1_histogram(f1: Floats, answerable: Flags) -> Figure:
    """Rows by F1 in percent, with and without an answer apart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    groups = {"with an answer": f1[answerable], "without an answer": f1[~answerable]}
    shown = {name: values for name, values in groups.items() if len(values)}
    axes.hist(list(shown.values()), bins=20, range=(0, 100), stacked=True, label=list(shown))
    axes.set(xlabel="F1 of the answer (%)", ylabel="rows", title="F1", xlim=(0, 100))
    axes.legend()
    return figure
