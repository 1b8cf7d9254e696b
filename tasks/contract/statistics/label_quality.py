"""Which rows are probably labelled wrongly, by confident learning.

A linear model on TF-IDF features says how probable each label of a row is, having been trained on
other rows only; cleanlab compares that with the given labels. The method is that of Northcutt,
Jiang and Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, JAIR 70 (2021).
Rows are pointed out, never removed: what a simple model finds odd may well be right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.text.languages import has_spaces

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

CHARACTERS: Final = 1000
"""Of each text, from its beginning; more costs time and memory, and the topic is clear by then."""
WORD: Final = r"\w+|[^\w\s]"
"""Marks and emoji count as words, since they carry mood."""
STRENGTH: Final = 3.0
"""Of the fit: the inverse of the L2 penalty, as ``C`` in scikit-learn's LogisticRegression."""
ODDS: Final = 3.0
"""How many times as probable as its own the best label of a suspect is, at least. On small or
subtle data a linear model contradicts a third of the labels, most of them by a hair."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row with a label that is probably wrong.

    Attributes:
        position: of the row, from 0, in what was examined.
        given: its label.
        suggested: the label that the model finds most probable.
        score: cleanlab's label quality, the probability of the given label: 0 (surely wrong) to 1.
    """

    position: int
    given: str
    suggested: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """What an examination found.

    Attributes:
        suspects: the worst first.
        estimated_share: of rows with a wrong label, 0 to 1, from the confident joint. It counts
            errors of the model too, so it is an upper estimate, and a poor one at low accuracy.
        looked_at: rows, after sampling and without rare labels.
        accuracy: how often the model's best label is the given one, on rows it was not trained on:
            how far the rest can be trusted.
    """

    suspects: list[Suspect]
    estimated_share: float
    looked_at: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Suspects among some rows, as arrays of the same length, and the figures about all rows."""

    rows: Ints
    suggested: Ints
    scores: Floats
    share: float
    looked_at: int
    accuracy: float


def examine(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    language: str,
    folds: int = 5,
    budget: int = 50_000,
    seed: int = 42,
) -> LabelQuality:
    """Find rows whose label is probably wrong, where each row has one label.

    Rows with the same text, but for case and white space, are in the same fold. A label that
    fewer than ``folds`` distinct texts have is left out, and so are its rows. There are no
    suspects, and the share is 0, if the model predicts no better than the shares of the labels
    do; nothing at all is found if fewer than two labels are left. The same rows in another order,
    with the same seed, give the same suspects. Of a text the first 1,000 characters count.

    Args:
        texts: one a row.
        labels: one a row.
        language: code such as ``en``; decides between words and characters.
        folds: of the cross-validation, at least 2.
        budget: rows to look at; of more, a random sample with the same shares of the labels.
        seed: decides on the sample, the folds and the fit.
    """
    distinct, text = _numbered(map(_normalized, texts))
    names, label = _numbered(labels)
    rows = _sampled(text, label, budget, seed)
    features = _features(distinct, language, text[rows])
    found = _judged(features, text[rows], label[rows], folds, seed)
    suspects = [
        Suspect(int(position), names[given], names[suggested], float(score))
        for position, given, suggested, score in zip(
            rows[found.rows], label[rows][found.rows], found.suggested, found.scores, strict=True
        )
    ]
    return LabelQuality(_worst_first(suspects), found.share, found.looked_at, found.accuracy)


def examine_sets(
    texts: Sequence[str],
    labels: Sequence[Sequence[str]],
    *,
    language: str,
    folds: int = 5,
    budget: int = 50_000,
    seed: int = 42,
) -> LabelQuality:
    """Find labels that probably are too much or missing, where a row has any number of them.

    Each label is a question of its own, yes or no, as in
    ``cleanlab.multilabel_classification.filter.find_multilabel_issues_per_class``, and otherwise
    all is as in :func:`examine`, which also describes the arguments. A label that fewer than
    ``folds`` distinct texts have, or that fewer lack, is not asked about.

    Returns:
        A suspect for each label: ``given`` names one that is probably too much, with an empty
        ``suggested``; ``suggested`` names one that is probably missing, with an empty ``given``.
        A row may be a suspect more than once. The estimated share and the accuracy are those of
        the answers, averaged over the labels.
    """
    distinct, text = _numbered(map(_normalized, texts))
    names, _ = _numbered(name for held in labels for name in held)
    _, group = _numbered(tuple(sorted(set(held))) for held in labels)
    rows = _sampled(text, group, budget, seed)
    features = _features(distinct, language, text[rows])
    suspects: list[Suspect] = []
    judgements: list[_Judgement] = []
    for name in names:
        holds = np.array([name in labels[row] for row in rows], dtype=np.int64)
        found = _judged(features, text[rows], holds, folds, seed)
        judgements += [found] if found.looked_at else []
        for row, suggested, score in zip(found.rows, found.suggested, found.scores, strict=True):
            pair = ("", name) if suggested else (name, "")
            suspects.append(Suspect(int(rows[row]), *pair, float(score)))
    return LabelQuality(
        _worst_first(suspects),
        _mean([found.share for found in judgements]),
        max((found.looked_at for found in judgements), default=0),
        _mean([found.accuracy for found in judgements]),
    )


def _worst_first(suspects: list[Suspect]) -> list[Suspect]:
    return sorted(suspects, key=lambda suspect: (suspect.score, suspect.position))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _normalized(text: str) -> str:
    """What the model sees of a text, so that two texts that it cannot tell apart are one."""
    return " ".join(unicodedata.normalize("NFKC", text[:CHARACTERS]).casefold().split())


def _numbered(values: Iterable[Key]) -> tuple[list[Key], Ints]:
    """The distinct values in order, and for each value its number among them."""
    listed = list(values)
    distinct: list[Any] = sorted(set(listed))
    numbers = {value: number for number, value in enumerate(distinct)}
    return distinct, np.array([numbers[value] for value in listed], dtype=np.int64)


def _sampled(text: Ints, label: Ints, budget: int, seed: int) -> Ints:
    """Rows ordered by text and label, whatever order they came in; every n-th of each label."""
    rows = np.lexsort((label, text))
    if len(rows) <= budget:
        return rows
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    by_label = shuffled[np.argsort(label[rows[shuffled]], kind="stable")]
    every = np.linspace(0, len(rows), budget, endpoint=False).astype(np.int64)
    return rows[np.sort(by_label[every])]


def _features(distinct: Sequence[str], language: str, text: Ints) -> csr_matrix:
    """TF-IDF of shape (rows, terms), learned from the distinct texts without their labels."""
    from scipy.sparse import csr_matrix, hstack

    used, place = np.unique(text, return_inverse=True)
    sample = [distinct[number] for number in used]
    blocks = [csr_matrix((len(sample), 1), dtype=np.float32)]
    for vectorizer in _vectorizers(language):
        try:
            blocks.append(vectorizer.fit_transform(sample))
        except ValueError:
            # No term is in two texts: nothing to learn from, which is no fault of the data.
            continue
    return hstack(blocks, format="csr")[place]


def _vectorizers(language: str) -> list[TfidfVectorizer]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    common = {"lowercase": False, "sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    if not has_spaces(language):
        return [TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), **common)]
    return [
        TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), **common),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **common),
    ]


def _judged(features: csr_matrix, text: Ints, label: Ints, folds: int, seed: int) -> _Judgement:
    """Compare the labels of ordered rows with what a model that has not seen them expects."""
    from cleanlab.rank import get_label_quality_scores

    kept = _frequent(text, label, folds)
    classes, given = np.unique(label[kept], return_inverse=True)
    if len(classes) < 2:
        return _Judgement(kept[:0], label[:0], np.zeros(0), 0.0, 0, 0.0)
    probabilities = _out_of_sample(features[kept], text[kept], given, folds, seed)
    scores = get_label_quality_scores(given, probabilities)
    best = probabilities.argmax(axis=1)
    accuracy = float(np.mean(best == given))
    if not _informed(scores, given):
        return _Judgement(kept[:0], label[:0], scores[:0], 0.0, len(given), accuracy)
    odd, share = _contradicted(given, probabilities)
    mask = odd & (probabilities.max(axis=1) >= ODDS * scores)
    # The cut-off may fall between copies of a row.
    pairs = text[kept] * len(classes) + given
    mask = np.isin(pairs, pairs[mask])
    return _Judgement(kept[mask], classes[best[mask]], scores[mask], share, len(given), accuracy)


def _frequent(text: Ints, label: Ints, folds: int) -> Ints:
    """The rows whose label is the first of at least ``folds`` distinct texts."""
    _, first = np.unique(text, return_index=True)
    counts = np.bincount(label[first], minlength=label.max(initial=0) + 1)
    return np.flatnonzero(counts[label] >= folds)


def _out_of_sample(features: csr_matrix, text: Ints, given: Ints, folds: int, seed: int) -> Floats:
    """Probabilities of shape (rows, classes) from models trained without the text of the row."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold

    # StratifiedGroupKFold does the same, but walks over 50,000 groups one by one.
    _, first, place = np.unique(text, return_index=True, return_inverse=True)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    probabilities = np.zeros((len(given), int(given.max()) + 1))
    for _, held in splitter.split(first, given[first]):
        outside = np.isin(place, held)
        penalty = 1 / (STRENGTH * np.count_nonzero(~outside))
        model = SGDClassifier(loss="log_loss", alpha=penalty, random_state=seed)
        model.fit(features[~outside], given[~outside])
        probabilities[outside] = model.predict_proba(features[outside])
    return probabilities


def _informed(scores: Floats, given: Ints) -> bool:
    """Whether the log loss is below that of the shares of the labels, which is their entropy."""
    shares = np.bincount(given) / len(given)
    losses = -np.log(np.clip(scores, np.finfo(np.float64).eps, None))
    return bool(losses.mean() < -np.sum(shares * np.log(shares)))


def _contradicted(given: Ints, probabilities: Floats) -> tuple[NDArray[np.bool_], float]:
    """Cleanlab's verdict on each row, and its estimate of the share of wrong labels."""
    from cleanlab.count import estimate_joint
    from cleanlab.filter import find_label_issues

    # Pruning by class and by noise rate keeps rare labels from making up most of the list.
    issues = find_label_issues(given, probabilities, filter_by="both", n_jobs=1)
    share = 1 - float(np.trace(estimate_joint(given, probabilities)))
    return issues, min(max(share, 0.0), 1.0)
