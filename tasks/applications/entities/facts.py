"""The facts of entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tasks.applications.facts import Facts

NONE: Final = "(none)"
"""Stands for a type where there is no entity."""


@dataclass(frozen=True, kw_only=True)
class EntityFacts(Facts):
    """What a model that finds entities freezes.

    Attributes:
        labels: the types of entities, in their frozen order.
        stride: tokens that two neighbouring windows share.
    """

    labels: tuple[str, ...]
    stride: int = 0
