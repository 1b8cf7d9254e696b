"""Find rows with probably wrong labels by confident learning.

A linear model on TF-IDF features predicts the label of each row after training on other rows;
cleanlab compares its probabilities with the given labels (Northcutt, Jiang and Chuang, *Confident
Learning: Estimating Uncertainty in Dataset Labels*, JAIR 70, 2021). Rows are reported, not removed,
since a simple model is often wrong.
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
"""Characters at the beginning of each text that count; more cost time and memory."""
WORD: Final = r"\w+|[^\w\s]"
"""Punctuation marks and emoji count as words, since they show sentiment."""
STRENGTH: Final = 3.0
"""Inverse of the L2 penalty, as ``C`` in scikit-learn's LogisticRegression."""
ODDS: Final = 3.0
"""Least ratio of the probabilities of the best and the given label of a suspect. On small or subtle
data a linear model contradicts a third of the labels, most of them by little."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row with a label that is probably wrong.

    Attributes:
        position: of the row among the examined ones, from 0.
        suggested: the most probable label.
        score: cleanlab's label quality, the probability of the given label: 0 (surely wrong) to 1.
    """

    position: int
    given: str
    suggested: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Result of an examination.

    Attributes:
        suspects: the worst first.
        estimated_share: share of rows with a wrong label, from the confident joint. Since it
            includes errors of the model, it is an upper estimate, and a poor one at low accuracy.
        looked_at: rows, after sampling and without rare labels.
        accuracy: of the model on rows that it was not trained on.
    """

    suspects: list[Suspect]
    estimated_share: float
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

    Rows with the same text, but for case and white space, are in the same fold. Labels of fewer
    than ``folds`` distinct texts are left out with their rows. There are no suspects, and the share
    is 0, if the model predicts no better than the shares of the labels, or if fewer than two labels
    are left. The order of the rows does not change the suspects.

    Args:
        language: code such as ``en``; decides between words and characters.
        folds: of the cross-validation, at least 2.
        budget: rows to examine; of more, a random sample with the same shares of the labels.
        seed: of the sample, the folds and the fit.
    """
    distinct, text = _numbered(map(_normalized, texts))
    names, label = _numbered(labels)
    rows = _sampled(text, label, budget, seed)
    features = _features(distinct, language, text[rows])
    return _examine(features, rows, text[rows], label[rows], names, folds=folds, seed=seed)


def examine_sets(
    texts: Sequence[str],
    labels: Sequence[Sequence[str]],
    *,
    language: str,
    folds: int = 5,
    budget: int = 50_000,
    seed: int = 42,
) -> LabelQuality:
    """Find probably wrong and missing labels, where a row has any number of them.

    Each label is a binary problem, as in
    ``cleanlab.multilabel_classification.filter.find_multilabel_issues_per_class``; for the rest see
    :func:`examine`. A label that fewer than ``folds`` distinct texts have, or lack, is left out.

    Returns:
        Suspects with a wrong label as ``given`` and an empty ``suggested``, or a missing one as
        ``suggested`` and an empty ``given``; a row may be in several. The estimated share and the
        accuracy are means over the labels.
    """
    distinct, text = _numbered(map(_normalized, texts))
    names, _ = _numbered(name for held in labels for name in held)
    _, group = _numbered(tuple(sorted(set(held))) for held in labels)
    rows = _sampled(text, group, budget, seed)
    features = _features(distinct, language, text[rows])
    results: list[LabelQuality] = []
    for name in names:
        holds = np.array([name in labels[row] for row in rows], dtype=np.int64)
        found = _examine(features, rows, text[rows], holds, ["", name], folds=folds, seed=seed)
        results += [found] if found.looked_at else []
    return LabelQuality(
        _worst_first(suspect for found in results for suspect in found.suspects),
        _mean([found.estimated_share for found in results]),
        max((found.looked_at for found in results), default=0),
        _mean([found.accuracy for found in results]),
    )


def _worst_first(suspects: Iterable[Suspect]) -> list[Suspect]:
    return sorted(suspects, key=lambda suspect: (suspect.score, suspect.position))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _normalized(text: str) -> str:
    """What the model sees of a text."""
    return " ".join(unicodedata.normalize("NFKC", text[:CHARACTERS]).casefold().split())


def _numbered(values: Iterable[Key]) -> tuple[list[Key], Ints]:
    """The distinct values in order, and the number of each value among them."""
    listed = list(values)
    distinct: list[Any] = sorted(set(listed))
    numbers = {value: number for number, value in enumerate(distinct)}
    return distinct, np.array([numbers[value] for value in listed], dtype=np.int64)


def _sampled(text: Ints, label: Ints, budget: int, seed: int) -> Ints:
    """Rows ordered by text and label; of too many, every n-th of each label."""
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
            # No term is in two texts, so that there are no features.
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


def _examine(
    features: csr_matrix,
    rows: Ints,
    text: Ints,
    label: Ints,
    names: Sequence[str],
    *,
    folds: int,
    seed: int,
) -> LabelQuality:
    """Compare labels of ordered rows with predictions of models that were not trained on them."""
    from cleanlab.rank import get_label_quality_scores

    kept = _frequent(text, label, folds)
    classes, given = np.unique(label[kept], return_inverse=True)
    if len(classes) < 2:
        return LabelQuality([], 0.0, 0, 0.0)
    probabilities = _out_of_sample(features[kept], text[kept], given, folds, seed)
    scores = get_label_quality_scores(given, probabilities)
    best = probabilities.argmax(axis=1)
    accuracy = float(np.mean(best == given))
    if not _informed(scores, given):
        return LabelQuality([], 0.0, len(given), accuracy)
    odd, share = _contradicted(given, probabilities)
    mask = odd & (probabilities.max(axis=1) >= ODDS * scores)
    # The threshold may fall between copies of a row.
    pairs = text[kept] * len(classes) + given
    found = np.flatnonzero(np.isin(pairs, pairs[mask]))
    suspects = [
        Suspect(int(row), names[classes[one]], names[classes[other]], float(score))
        for row, one, other, score in zip(
            rows[kept[found]], given[found], best[found], scores[found], strict=True
        )
    ]
    return LabelQuality(_worst_first(suspects), share, len(given), accuracy)


def _frequent(text: Ints, label: Ints, folds: int) -> Ints:
    """Rows whose label is that of the first row of at least ``folds`` distinct texts."""
    _, first = np.unique(text, return_index=True)
    counts = np.bincount(label[first], minlength=label.max(initial=0) + 1)
    return np.flatnonzero(counts[label] >= folds)


def _out_of_sample(features: csr_matrix, text: Ints, given: Ints, folds: int, seed: int) -> Floats:
    """Probabilities of shape (rows, classes) from models trained without the text of the row."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold

    # StratifiedGroupKFold does the same, but loops over 50,000 groups.
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
    """Whether the log loss is below the entropy of the labels."""
    shares = np.bincount(given) / len(given)
    losses = -np.log(np.clip(scores, np.finfo(np.float64).eps, None))
    return bool(losses.mean() < -np.sum(shares * np.log(shares)))


def _contradicted(given: Ints, probabilities: Floats) -> tuple[NDArray[np.bool_], float]:
    """Mask of cleanlab's label issues, and its estimate of the share of wrong labels."""
    from cleanlab.count import estimate_joint
    from cleanlab.filter import find_label_issues

    # By class and by noise rate, or rare labels would be most of the issues.
    issues = find_label_issues(given, probabilities, filter_by="both", n_jobs=1)
    share = 1 - float(np.trace(estimate_joint(given, probabilities)))
    return issues, min(max(share, 0.0), 1.0)
