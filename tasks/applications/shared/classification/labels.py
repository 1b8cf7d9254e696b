"""Label vocabularies: from the raw values of a column to names frozen into a model."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import DataError, Problem
from configs.schema import Data, Loss
from configs.values import label_name
from tasks.applications.facts import Census, Facts

if TYPE_CHECKING:
    import pandas as pd


MOST_LABELS = 1000
LONGEST_SHOWN = 40
INTEGER = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, kw_only=True)
class ClassificationFacts(Facts):
    """What a classifier freezes.

    Attributes:
        labelling: as ``data.labelling``.
        labels: in their frozen order.
        counts: training rows with each label.
        rows: training rows.
        scale: of ordinal labels, the number that stands for each.
        threshold: of multiple labels, the probability from which a label is predicted.
    """

    labelling: Literal["single", "multiple", "ordinal"]
    labels: tuple[str, ...]
    counts: Mapping[str, int]
    rows: int
    scale: tuple[float, ...] | None = None
    threshold: float | None = None

    @property
    def frequencies(self) -> list[int]:
        """Training rows with each label, in the order of the labels."""
        return [self.counts[label] for label in self.labels]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The scale; empty where labels have no order."""
        return self.scale or ()


def canonical(value: object) -> str | None:
    """Name a raw label: trimmed text, ``true``/``false``, integers in decimal; None if missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = label_name(value).strip()
    lowered = text.lower()
    return lowered if lowered in {"true", "false"} else text or None


def one(value: object) -> Any:
    """Name a raw label; a value that cannot be one becomes a tuple, which has a hash."""
    return (repr(value),) if isinstance(value, list | dict | tuple) else canonical(value)


def translation(data: Data, names: Sequence[str] | None) -> dict[str, str]:
    """The mapping from canonical raw value to label name that the config declares.

    A list of names also accepts its positions, unless the names are numbers themselves; two
    names also accept ``false`` and ``true``.
    """
    if isinstance(data.labels, dict):
        return {str(canonical(k)): v for k, v in data.labels.items()}
    listed = data.labels if data.labels is not None else names
    if listed is None:
        return {}
    by_name = {str(canonical(name)): name for name in listed}
    if any(name.lstrip("-").isdigit() for name in by_name):
        return by_name
    positions = {str(position): name for position, name in enumerate(listed)}
    if len(listed) == 2:
        positions |= dict(zip(("false", "true"), listed, strict=True))
    return positions | by_name


def declared(data: Data) -> tuple[str, ...] | None:
    """The label names that the config lists, in its order."""
    if isinstance(data.labels, dict):
        return tuple(dict.fromkeys(data.labels.values()))
    return data.labels


def number(label: str) -> float | None:
    """The finite number that a label is, if it is one."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def vocabulary(counts: Mapping[str, int], data: Data, target: str = "label") -> list[str]:
    """The labels in their frozen order.

    Args:
        counts: training rows with each label.
        data: may declare the labels.
        target: the application's name of the column.

    Raises:
        DataError: one class only, or so many that the column cannot hold labels.
    """
    present, rows = set(counts), sum(counts.values())
    where = f"column {data.columns.get(target, target)!r}"
    if len(present) < 2:
        found = f"found only {shown(next(iter(present)))}" if present else "found none"
        message = f"expected at least two labels in the training rows, {found}"
        raise DataError(Problem(where, message, "a classifier needs examples of each class"))
    if len(present) > MOST_LABELS or len(present) > rows / 2 > MOST_LABELS / 20:
        message = f"expected labels, found {len(present)} distinct values in {rows} rows"
        raise DataError(
            Problem(where, message, f"name the label column with data.columns.{target}")
        )
    names = declared(data)
    if names is not None:
        return list(names)
    return sorted(present, key=_natural)


def problems(census: Census, labels: Sequence[str], minimum: int) -> Iterator[str]:
    """Labels with too few training rows, and labels of other splits that training lacks."""
    counts = census.labels("train")
    for label in labels:
        if counts[label] < minimum:
            found = f"expected at least {minimum} training rows, found {counts[label]}"
            yield f"label {shown(label)}: {found}"
    for split in ("validation", "test"):
        for label, rows in sorted(census.labels(split).items()):
            if label not in labels:
                where = f"{rows} {split} rows, first at {census.place(split, label)}"
                yield f"label {shown(str(label))} never occurs in training ({where})"


def difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """How the labels of two models differ."""
    parts = {
        "lacks": sorted(set(ours) - set(theirs)),
        "has besides": sorted(set(theirs) - set(ours)),
    }
    named = [f"{verb} {', '.join(labels[:5])}" for verb, labels in parts.items() if labels]
    return f"other labels: it {' and '.join(named)}"


def positions(values: pd.Series[Any], labels: Sequence[str]) -> list[int]:
    """Each value as its position in the vocabulary."""
    position = {label: index for index, label in enumerate(labels)}
    found: list[int] = values.map(position).to_list()
    return found


def class_weights(
    facts: ClassificationFacts, loss: Loss, balanced: Callable[[int], float]
) -> list[float] | None:
    """The declared weight of each label, in their order; None without weights.

    ``balanced`` takes the training rows with a label.
    """
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        return [balanced(count) for count in facts.frequencies]
    return [loss.class_weights.get(label, 1.0) for label in facts.labels]


def _natural(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if INTEGER.fullmatch(label) else (1, 0, label)


def shown(label: str) -> str:
    """A label for a message; long values may be text of a row and are not shown."""
    return repr(label) if len(label) <= LONGEST_SHOWN else f"a value of {len(label)} characters"
