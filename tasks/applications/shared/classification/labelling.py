"""Labellings by name: one label per row, any number of them, or one step of a scale."""

from __future__ import annotations

from typing import Final

from tasks.applications.shared.classification.base import Labelling
from tasks.applications.shared.classification.multi_label import MultiLabel
from tasks.applications.shared.classification.ordinal import Ordinal
from tasks.applications.shared.classification.single_label import SingleLabel

LABELLINGS: Final[dict[str, Labelling]] = {
    "single": SingleLabel(),
    "multiple": MultiLabel(),
    "ordinal": Ordinal(),
}


def get(name: str) -> Labelling:
    """Find a labelling by its name in the config."""
    return LABELLINGS[name]
