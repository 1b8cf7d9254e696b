"""Label vocabularies: from the raw values of a column to names frozen into a model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from configs.schema import Data, label_name
from tasks.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd

MOST_LABELS = 1000
LONGEST_SHOWN = 40
INTEGER = re.compile(r"-?[0-9]{1,20}")


def canonical(value: object) -> str | None:
    """Name a raw label: trimmed text, ``true``/``false``, integers in decimal; None if missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = label_name(value).strip()
    lowered = text.lower()
    return lowered if lowered in {"true", "false"} else text or None


def translation(data: Data, names: Sequence[str] | None) -> dict[str, str]:
    """The mapping from canonical raw value to label name that the config declares.

    A list of names also accepts its positions, unless the names are numbers themselves; two
    names also accept ``false`` and ``true``.
    """
    if isinstance(data.labels, dict):
        return {str(canonical(k)): v for k, v in data.labels.items()}
    declared = data.labels if data.labels is not None else names
    if declared is None:
        return {}
    by_name = {str(canonical(name)): name for name in declared}
    if any(name.lstrip("-").isdigit() for name in by_name):
        return by_name
    positions = {str(position): name for position, name in enumerate(declared)}
    if len(declared) == 2:
        positions |= dict(zip(("false", "true"), declared, strict=True))
    return positions | by_name


def vocabulary(column: pd.Series[Any], data: Data) -> list[str]:
    """The labels in their frozen order.

    Raises:
        DataError: one class only, or so many that the column cannot hold labels.
    """
    present = set(column.unique())
    where = f"column {data.columns.get('label', 'label')!r}"
    if len(present) < 2:
        found = f"found only {shown(next(iter(present)))}" if present else "found none"
        message = f"expected at least two labels in the training rows, {found}"
        raise DataError(Problem(where, message, "a classifier needs examples of each class"))
    if len(present) > MOST_LABELS or len(present) > len(column) / 2 > MOST_LABELS / 20:
        message = f"expected labels, found {len(present)} distinct values in {len(column)} rows"
        raise DataError(Problem(where, message, "name the label column with data.columns.label"))
    if isinstance(data.labels, dict):
        return list(dict.fromkeys(data.labels.values()))
    if data.labels is not None:
        return list(data.labels)
    return sorted(present, key=_natural)


def _natural(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if INTEGER.fullmatch(label) else (1, 0, label)


def shown(label: str) -> str:
    """A label for a message; long values may be text of a row and are not shown."""
    return repr(label) if len(label) <= LONGEST_SHOWN else f"a value of {len(label)} characters"
