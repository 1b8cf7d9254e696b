"""The plots of an evaluation: those of the scorer, and the losses of the training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tasks.applications.scoring import Scorer
from tasks.training import events

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FURTHER_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
)
"""Fonts with Chinese, for labels in plots."""
SMOOTHING = 0.05
"""Weight of the newest loss in the moving average."""


def draw(folder: Path, scorer: Scorer, training: Path) -> None:
    """Write the plots; a label is text, in which matplotlib would read formulas between dollars."""
    from matplotlib import font_manager, rc_context

    installed = set(font_manager.get_font_names())
    fonts = ["sans-serif", *(font for font in FURTHER_FONTS if font in installed)]
    with (
        rc_context({"text.parse_math": False, "text.usetex": False, "font.family": fonts}),
        warnings.catch_warnings(),
    ):
        # A character that no font has is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figures = dict(scorer.figures()) | {"loss_curves": loss_curves(training)}
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})


def loss_curves(folder: Path) -> Figure:
    """Training loss by optimizer step, and validation loss by epoch."""
    from matplotlib.figure import Figure

    records = events.history(folder)
    steps = pd.Series({r["step"]: r["loss"] for r in records if r["kind"] == "step"})
    checks = pd.Series(
        {r["step"]: r["metrics"]["loss"] for r in records if r["kind"] == "validation"}
    )
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, color="tab:blue", alpha=0.25, label="training, each step")
    axes.plot(steps.ewm(alpha=SMOOTHING).mean(), color="tab:blue", label="training, smoothed")
    axes.plot(checks, color="tab:orange", marker="o", label="validation")
    axes.set(xlabel="optimizer step", ylabel="loss", title="Loss", ylim=(0, None))
    axes.legend()
    return figure
