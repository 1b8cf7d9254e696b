from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from tasks.applications.scoring import Scorer
from tasks.applications.shared.classification.scores import figures
from tasks.finetuning import FinetuningResult
from tasks.report import plots
from tasks.training import events

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


class Labelled:
    """The plots of two rows with labels that only look like formulas, are long, or no font has."""

    labels = ("$\\x", "a_$^{好评", "x" * 5000, "two\nlines\t")

    def figures(self) -> dict[str, Figure]:
        counts, names = np.eye(4, dtype=np.int64), self.labels
        matrix = figures.confusion_matrix(counts, names)
        return {"matrix": matrix, "bars": figures.f1_bars([0.5] * 4, names)}


def test_labels_are_no_formulas_in_plots(tuned: FinetuningResult, tmp_path: Path) -> None:
    plots.draw(tmp_path, cast("Scorer", Labelled()), tuned.stored.path)
    assert {path.stem for path in tmp_path.iterdir()} == {"matrix", "bars", "loss_curves"}
    for path in tmp_path.iterdir():
        assert max(imread(path).shape) < 1200


def test_loss_curves_show_every_step(tuned: FinetuningResult) -> None:
    folder: Path = tuned.stored.path
    steps, smoothed, validation = plots.loss_curves(folder).axes[0].lines
    assert np.asarray(steps.get_ydata()).tolist() == [
        record["loss"] for record in events.steps(folder)
    ]
    assert np.shape(smoothed.get_xdata()) == (72,)
    assert np.asarray(validation.get_xdata()).tolist() == [18, 36, 54, 72]
