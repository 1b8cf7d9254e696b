from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from sklearn import metrics as sk

from tasks.applications.shared.classification.scores.single_label import BINS, ClassificationScorer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RESAMPLED = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "log_loss")


def random_rows(rows: int, classes: int, seed: int, skill: float = 1.5) -> tuple[Ints, Floats]:
    """True classes, and probabilities that know something about them."""
    generator = np.random.default_rng(seed)
    true = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + skill * np.eye(classes)[true]
    odds = np.exp(logits)
    return true, odds / odds.sum(1, keepdims=True)


def score(true: Ints, probabilities: Floats, parts: int = 3) -> ClassificationScorer:
    """A scorer that has seen the rows in several parts."""
    scorer = ClassificationScorer([f"c{index}" for index in range(probabilities.shape[1])])
    for rows in np.array_split(np.arange(len(true)), parts):
        scorer.update({"label": true[rows]}, {"probabilities": probabilities[rows]})
    return scorer


def sure(guess: Ints, classes: int) -> Floats:
    """Probabilities that put everything on one class."""
    return np.eye(classes)[guess]


CASES = {
    "binary": random_rows(200, 2, 0),
    "many classes": random_rows(500, 7, 1),
    "hopeless": random_rows(300, 4, 2, skill=0.0),
    "one row": random_rows(1, 3, 3),
    "one true class": (np.zeros(30, dtype=int), random_rows(30, 3, 4)[1]),
    "one predicted class": (random_rows(30, 3, 5)[0], sure(np.full(30, 2), 3) * 0.4 + 0.2),
    "a class that never occurs": (np.arange(20) % 2, random_rows(20, 2, 6)[1] @ np.eye(2, 4)),
    "all wrong": (np.arange(12) % 3, sure((np.arange(12) + 1) % 3, 3)),
    "all right": (np.arange(12) % 3, sure(np.arange(12) % 3, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_those_of_scikit_learn(case: str) -> None:
    true, probabilities = CASES[case]
    classes, guess = probabilities.shape[1], probabilities.argmax(1)
    found = score(true, probabilities, parts=min(3, len(true))).metrics()
    average = {"average": "macro", "zero_division": 0}
    assert found == {
        "accuracy": pytest.approx(sk.accuracy_score(true, guess)),
        "macro_f1": pytest.approx(sk.f1_score(true, guess, **average)),
        "macro_precision": pytest.approx(sk.precision_score(true, guess, **average)),
        "macro_recall": pytest.approx(sk.recall_score(true, guess, **average)),
        "log_loss": pytest.approx(sk.log_loss(true, probabilities, labels=range(classes))),
        "calibration_error": found["calibration_error"],
        "rows": len(true),
    }


@pytest.mark.parametrize("case", CASES)
def test_details_are_those_of_scikit_learn(case: str) -> None:
    true, probabilities = CASES[case]
    labels, guess = range(probabilities.shape[1]), probabilities.argmax(1)
    scorer = score(true, probabilities, parts=1)
    expected = sk.precision_recall_fscore_support(true, guess, labels=labels, zero_division=0)
    for index, row in enumerate(scorer.details({})):
        assert row == {
            "label": f"c{index}",
            "precision": pytest.approx(expected[0][index]),
            "recall": pytest.approx(expected[1][index]),
            "f1": pytest.approx(expected[2][index]),
            "support": expected[3][index],
        }
    assert np.array_equal(scorer.confusion(), sk.confusion_matrix(true, guess, labels=labels))


def calibration_error(probabilities: Floats, true: Ints) -> float:
    """Guo et al. 2017, equation 3, one bin at a time."""
    total = 0.0
    for index in range(BINS):
        low, high = index / BINS, (index + 1) / BINS
        members = [(p.max(), p.argmax() == t) for p, t in zip(probabilities, true, strict=True)]
        members = [(c, hit) for c, hit in members if low < c <= high]
        if members:
            accuracy = np.mean([hit for _, hit in members])
            confidence = np.mean([c for c, _ in members])
            total += len(members) / len(true) * abs(accuracy - confidence)
    return float(total)


@pytest.mark.parametrize("case", ["binary", "many classes", "hopeless", "one row", "all wrong"])
def test_calibration_error_is_that_of_its_definition(case: str) -> None:
    true, probabilities = CASES[case]
    found = score(true, probabilities, parts=1).metrics()["calibration_error"]
    assert found == pytest.approx(calibration_error(probabilities, true))


def test_calibration_error_of_a_sure_model_is_its_error() -> None:
    true = np.array([0, 1, 1, 0])
    found = score(true, sure(np.zeros(4, dtype=int), 2)).metrics()
    assert found["calibration_error"] == pytest.approx(0.5)


@pytest.mark.parametrize("metric", RESAMPLED)
def test_interval_contains_the_value_and_comes_again(metric: str) -> None:
    scorer = score(*random_rows(300, 3, 8))
    low, high = scorer.interval(metric, 500, 0.95)
    assert low < scorer.metrics()[metric] < high
    assert scorer.interval(metric, 500, 0.95) == (low, high)
    wider = scorer.interval(metric, 500, 0.999)
    assert wider[0] < low
    assert wider[1] > high


@pytest.mark.parametrize("metric", [*RESAMPLED, "calibration_error"])
def test_interval_shrinks_with_the_rows(metric: str) -> None:
    widths = []
    for rows in (100, 1600):
        low, high = score(*random_rows(rows, 3, 9)).interval(metric, 300, 0.95)
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.5)


def test_interval_of_a_perfect_model_is_a_point() -> None:
    true, probabilities = CASES["all right"]
    assert score(true, probabilities).interval("macro_f1", 200, 0.95) == (1.0, 1.0)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "macro_precision", "macro_recall"])
def test_drawing_cells_is_drawing_rows(metric: str) -> None:
    true, probabilities = random_rows(60, 3, 10)
    generator = np.random.default_rng(11)
    values = [
        score(true[rows], probabilities[rows], parts=1).metrics()[metric]
        for rows in generator.integers(0, 60, (3000, 60))
    ]
    low, high = score(true, probabilities).interval(metric, 3000, 0.9)
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=0.012)


def test_mistakes_are_sorted_by_confidence() -> None:
    true, probabilities = CASES["many classes"]
    guess = probabilities.argmax(1)
    mistakes = score(true, probabilities).mistakes(1000)
    assert {m["position"] for m in mistakes} == set(np.flatnonzero(true != guess).tolist())
    scores = [m["score"] for m in mistakes]
    assert scores == sorted(scores, reverse=True)
    for mistake in mistakes:
        row = mistake["position"]
        assert mistake["label"] == f"c{true[row]}"
        assert mistake["predicted"] == f"c{guess[row]}"
        assert mistake["score"] == probabilities[row, guess[row]]
        assert mistake["score_of_label"] == probabilities[row, true[row]]
    assert score(true, probabilities).mistakes(3) == mistakes[:3]


def test_perfect_model_makes_no_mistakes() -> None:
    assert score(*CASES["all right"]).mistakes(5) == []


@pytest.mark.parametrize("classes", [2, 25])
def test_figures_save_as_pictures_with_content(tmp_path: Path, classes: int) -> None:
    figures = score(*random_rows(100, classes, 12)).figures()
    assert set(figures) == {"confusion_matrix", "reliability"}
    for name, figure in figures.items():
        path = tmp_path / f"{name}.png"
        figure.savefig(path)
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 200
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_confusion_matrix_shows_its_counts_and_labels() -> None:
    true, probabilities = CASES["binary"]
    scorer = score(true, probabilities)
    axes = scorer.figures()["confusion_matrix"].axes[0]
    assert [text.get_text() for text in axes.texts] == [str(n) for n in scorer.confusion().ravel()]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["c0", "c1"]


def test_reliability_bars_are_accuracies() -> None:
    true = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    upper, lower = score(true, probabilities).figures()["reliability"].axes
    assert [bar.get_height() for bar in upper.patches] == [0.75]
    assert sum(bar.get_height() for bar in lower.patches) == 4
