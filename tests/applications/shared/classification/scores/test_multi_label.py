from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from sklearn import metrics as sk

from tasks.applications.shared.classification.scores.multi_label import STEPS, MultiLabelScorer

Case = tuple[NDArray[np.int64], NDArray[np.float32]]
METRICS = ("micro_f1", "macro_f1", "subset_accuracy", "hamming_loss", "macro_average_precision")


def random_rows(rows: int, labels: int, seed: int, skill: float = 1.5) -> Case:
    """Label sets, and probabilities that know something about them."""
    generator = np.random.default_rng(seed)
    true = (generator.random((rows, labels)) < 0.3).astype(np.int64)
    logits = generator.normal(size=(rows, labels)) + skill * (2 * true - 1)
    return true, (1 / (1 + np.exp(-logits))).astype(np.float32)


def score(true: Any, probabilities: Any, threshold: float | None = 0.5) -> MultiLabelScorer:
    """A scorer that has seen the rows in two parts."""
    labels = [f"l{index}" for index in range(true.shape[1])]
    scorer = MultiLabelScorer(labels, threshold)
    for rows in np.array_split(np.arange(len(true)), min(2, len(true))):
        scorer.update({"labels": true[rows]}, {"probabilities": probabilities[rows]})
    return scorer


def some_ties() -> Case:
    """Probabilities of which many are the same."""
    true, probabilities = random_rows(200, 4, 3)
    return true, np.round(probabilities, 1)


def absent_label() -> Case:
    """A label that no row has, and one that every row has."""
    true, probabilities = random_rows(50, 4, 4)
    true[:, 1], true[:, 2] = 0, 1
    return true, probabilities


CASES: dict[str, Case] = {
    "usual": random_rows(300, 6, 0),
    "hopeless": random_rows(300, 3, 1, skill=0.0),
    "one row": random_rows(1, 3, 2),
    "ties": some_ties(),
    "absent label": absent_label(),
    "no labels at all": (np.zeros((20, 3), dtype=np.int64), random_rows(20, 3, 5)[1]),
    "nothing predicted": (random_rows(20, 3, 6)[0], np.full((20, 3), 0.1, dtype=np.float32)),
    "perfect": (random_rows(40, 3, 7)[0], random_rows(40, 3, 7)[0].astype(np.float32)),
}


def average_precision(true: Any, probabilities: Any) -> float:
    """scikit-learn's, without its warning about labels that no row has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [
            sk.average_precision_score(true[:, label], probabilities[:, label])
            for label in range(true.shape[1])
        ]
    return float(np.mean(values))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_metrics_are_those_of_scikit_learn(case: str, threshold: float) -> None:
    true, probabilities = CASES[case]
    guess = (probabilities >= threshold).astype(int)
    assert score(true, probabilities, threshold).metrics() == {
        "micro_f1": pytest.approx(sk.f1_score(true, guess, average="micro", zero_division=0)),
        "macro_f1": pytest.approx(
            sk.f1_score(true, guess, average="macro", zero_division=0), rel=1e-6
        ),
        "subset_accuracy": pytest.approx(sk.accuracy_score(true, guess)),
        "hamming_loss": pytest.approx(sk.hamming_loss(true, guess)),
        "macro_average_precision": pytest.approx(average_precision(true, probabilities)),
        "rows": len(true),
    }


@pytest.mark.parametrize("case", CASES)
def test_details_are_those_of_scikit_learn(case: str) -> None:
    true, probabilities = CASES[case]
    expected = sk.precision_recall_fscore_support(
        true, probabilities >= 0.5, average=None, zero_division=0
    )
    for index, row in enumerate(score(true, probabilities).details({})):
        assert row == {
            "label": f"l{index}",
            "precision": pytest.approx(expected[0][index]),
            "recall": pytest.approx(expected[1][index]),
            "f1": pytest.approx(expected[2][index]),
            "average_precision": pytest.approx(
                average_precision(true[:, [index]], probabilities[:, [index]])
            ),
            "support": expected[3][index],
        }


@pytest.mark.parametrize("case", CASES)
def test_threshold_has_the_best_micro_f1_of_the_grid(case: str) -> None:
    true, probabilities = CASES[case]
    scorer = score(true, probabilities, threshold=None)
    found = scorer.learned()["threshold"]
    grid = np.arange(1, STEPS) / STEPS
    scores = np.array(
        [sk.f1_score(true, probabilities >= t, average="micro", zero_division=0) for t in grid]
    )
    assert scorer.metrics()["micro_f1"] == pytest.approx(scores.max())
    best = grid[scores >= scores.max() - 1e-12]
    assert abs(found - 0.5) == np.abs(best - 0.5).min()


def test_given_threshold_stays() -> None:
    assert score(*CASES["usual"], threshold=0.75).learned() == {"threshold": 0.75}


def test_threshold_of_a_model_that_diverged_is_a_half() -> None:
    true, probabilities = CASES["usual"]
    scorer = score(true, np.full_like(probabilities, np.nan), threshold=None)
    assert scorer.learned() == {"threshold": 0.5}


@pytest.mark.parametrize("metric", METRICS)
def test_interval_contains_the_value_and_comes_again(metric: str) -> None:
    scorer = score(*CASES["usual"])
    low, high = scorer.interval(metric, 200, 0.95)
    assert low < scorer.metrics()[metric] < high
    assert scorer.interval(metric, 200, 0.95) == (low, high)


@pytest.mark.parametrize("metric", METRICS)
def test_interval_is_that_of_drawing_rows(metric: str) -> None:
    true, probabilities = random_rows(40, 3, 8)
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, 40, 40) for _ in range(100))
    values = [score(true[rows], probabilities[rows]).metrics()[metric] for rows in draws]
    expected = tuple(np.quantile(values, [0.05, 0.95]))
    assert score(true, probabilities).interval(metric, 100, 0.9) == pytest.approx(expected)


def test_mistakes_are_sorted_by_their_most_confident_label() -> None:
    true = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.7], [0.9, 0.05], [0.8, 0.9]], dtype=np.float32)
    assert score(true, probabilities).mistakes(2) == [
        {"position": 2, "labels": ["l0", "l1"], "predicted": ["l0"], "score": pytest.approx(0.95)},
        {"position": 3, "labels": [], "predicted": ["l0", "l1"], "score": pytest.approx(0.9)},
    ]
    assert [m["position"] for m in score(true, probabilities).mistakes(9)] == [2, 3, 1]
    assert score(*CASES["perfect"]).mistakes(9) == []


@pytest.mark.parametrize("case", ["usual", "one row", "no labels at all"])
def test_figures_save_as_pictures_with_content(tmp_path: Path, case: str) -> None:
    figures = score(*CASES[case]).figures()
    assert set(figures) == {"f1_by_label", "precision_recall"}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")
        pixels = imread(tmp_path / f"{name}.png")[..., :3]
        assert min(pixels.shape[:2]) > 100
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_bars_are_the_f1_of_each_label() -> None:
    scorer = score(*CASES["usual"])
    axes = scorer.figures()["f1_by_label"].axes[0]
    found = [bar.get_width() for bar in axes.patches]
    assert found == pytest.approx([row["f1"] for row in scorer.details({})])
    assert [text.get_text() for text in axes.get_yticklabels()] == scorer.labels


def test_the_threshold_lies_on_the_curve() -> None:
    true, probabilities = CASES["usual"]
    curve, mark = score(true, probabilities).figures()["precision_recall"].axes[0].lines
    guess = probabilities >= 0.5
    expected = (
        sk.recall_score(true, guess, average="micro"),
        sk.precision_score(true, guess, average="micro"),
    )
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == pytest.approx(expected)
    assert expected[0] in np.asarray(curve.get_xdata())
