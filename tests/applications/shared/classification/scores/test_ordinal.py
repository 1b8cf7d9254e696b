from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from sklearn import metrics as sk

from tasks.applications.shared.classification.scores.ordinal import OrdinalScorer

Case = tuple[NDArray[np.int64], NDArray[np.float64]]
STARS = [1.0, 2.0, 3.0, 4.0, 5.0]
METRICS = ("mean_absolute_error", "accuracy", "macro_f1", "within_one", "quadratic_weighted_kappa")


def random_rows(rows: int, seed: int, noise: float = 1.0) -> Case:
    """True positions on a scale of five stars, and scores that know something about them."""
    generator = np.random.default_rng(seed)
    true = generator.integers(0, 5, rows)
    scores = true + 1 + noise * generator.normal(size=rows)
    return true, scores.clip(1, 5)


def score(true: Any, scores: Any, scale: list[float] | None = None) -> OrdinalScorer:
    """A scorer that has seen the rows in two parts."""
    scale = scale or STARS
    scorer = OrdinalScorer([str(number) for number in scale], scale)
    for rows in np.array_split(np.arange(len(true)), min(2, len(true))):
        scorer.update({"label": true[rows]}, {"score": scores[rows]})
    return scorer


CASES: dict[str, Case] = {
    "usual": random_rows(300, 0),
    "hopeless": random_rows(200, 1, noise=20.0),
    "one row": (np.array([3]), np.array([1.2])),
    "one true label": (np.full(30, 2), random_rows(30, 2)[1]),
    "one prediction": (random_rows(30, 3)[0], np.full(30, 2.1)),
    "perfect": (np.arange(20) % 5, np.arange(20) % 5 + 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_those_of_scikit_learn(case: str) -> None:
    true, scores = CASES[case]
    guess = np.rint(scores).astype(int) - 1
    assert score(true, scores).metrics() == {
        "mean_absolute_error": pytest.approx(sk.mean_absolute_error(true, guess)),
        "accuracy": pytest.approx(sk.accuracy_score(true, guess)),
        "macro_f1": pytest.approx(sk.f1_score(true, guess, average="macro", zero_division=0)),
        "within_one": pytest.approx(np.mean(np.abs(true - guess) <= 1)),
        "quadratic_weighted_kappa": pytest.approx(
            sk.cohen_kappa_score(true, guess, weights="quadratic", labels=range(5))
        ),
        "rows": len(true),
    }


def test_kappa_is_nothing_where_it_is_undefined() -> None:
    found = score(np.full(9, 2), np.full(9, 3.0)).metrics()
    assert found["quadratic_weighted_kappa"] == 0
    assert found["accuracy"] == 1


def test_scores_between_numbers_of_an_uneven_scale() -> None:
    scorer = score(np.array([0, 1, 2]), np.array([1.0, 5.4, 5.6]), [1.0, 2.0, 9.0])
    assert scorer.confusion().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_details_are_by_label() -> None:
    true, scores = CASES["usual"]
    guess = np.rint(scores).astype(int) - 1
    expected = sk.precision_recall_fscore_support(true, guess, zero_division=0)
    for index, row in enumerate(score(true, scores).details({})):
        of_label = true == index
        assert row == {
            "label": str(STARS[index]),
            "precision": pytest.approx(expected[0][index]),
            "recall": pytest.approx(expected[1][index]),
            "f1": pytest.approx(expected[2][index]),
            "mean_absolute_error": pytest.approx(np.abs(guess - true)[of_label].mean()),
            "support": expected[3][index],
        }


@pytest.mark.parametrize("metric", METRICS)
def test_interval_contains_the_value_and_comes_again(metric: str) -> None:
    scorer = score(*CASES["usual"])
    low, high = scorer.interval(metric, 500, 0.95)
    assert low < scorer.metrics()[metric] < high
    assert scorer.interval(metric, 500, 0.95) == (low, high)


@pytest.mark.parametrize("metric", METRICS)
def test_drawing_cells_is_drawing_rows(metric: str) -> None:
    true, scores = random_rows(60, 4)
    generator = np.random.default_rng(5)
    draws = generator.integers(0, 60, (2000, 60))
    values = [score(true[rows], scores[rows]).metrics()[metric] for rows in draws]
    found = score(true, scores).interval(metric, 3000, 0.9)
    assert found == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=0.025)


def test_mistakes_are_sorted_by_distance() -> None:
    true, scores = np.array([0, 4, 2, 1]), np.array([1.7, 1.2, 3.1, 3.9])
    assert score(true, scores).mistakes(2) == [
        {"position": 1, "label": "5.0", "predicted": "1.0", "score": 1.2},
        {"position": 3, "label": "2.0", "predicted": "4.0", "score": 3.9},
    ]
    assert score(*CASES["perfect"]).mistakes(9) == []


def test_figure_saves_as_a_picture_with_content(tmp_path: Path) -> None:
    figures = score(*CASES["usual"]).figures()
    assert set(figures) == {"confusion_matrix"}
    figures["confusion_matrix"].savefig(tmp_path / "figure.png")
    assert len(np.unique(imread(tmp_path / "figure.png")[..., :3].reshape(-1, 3), axis=0)) > 20


def test_a_model_that_diverged_is_scored() -> None:
    true, scores = CASES["usual"]
    found = score(true, np.full_like(scores, np.nan)).metrics()
    assert found["mean_absolute_error"] == pytest.approx(true.mean())
