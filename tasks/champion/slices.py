"""Slices of the test rows by length, language and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError, Problem
from configs.language import _
from configs.schema import Pipeline
from tasks.arrow import MappedTable
from tasks.contract.rows.layout import quote_names
from tasks.contract.rows.origins import columns_of
from tasks.contract.rules.language_detection import Detector
from tasks.contract.sources.splits import Sources

Mask = NDArray[np.bool_]
LENGTHS = ("short", "middle", "long")
RARE = "(rare)"


def find(
    config: Pipeline, rows: MappedTable, inputs: Sequence[str], sources: Sources
) -> dict[str, Mask]:
    """Name the slices that the gate declares, and the rows of each.

    Values of a column that fewer than ``gate.slices.min_rows`` rows have are one slice, which
    decides nothing: their names may be private. The columns are those of the declared files.
    """
    declared = config.gate.slices
    slices: dict[str, Mask] = {}
    if declared.length:
        slices |= _by_length([rows.column(name).to_pylist() for name in inputs])
    if declared.language:
        texts = rows.column(inputs[0]).to_pylist()
        slices |= _by_value("language", _languages(texts, config), declared.min_rows)
    for column, values in columns_of(declared.columns, rows, sources).items():
        slices |= _by_value(column, values, declared.min_rows)
    return slices


def rare(name: str) -> bool:
    """Whether a slice has the rare values of a column."""
    return name.endswith(f": {RARE}")


def require_columns(config: Pipeline, sources: Sources) -> None:
    """Refuse columns of slices and of ids that a file does not have.

    Raises:
        DataError: naming every file that lacks one.
    """
    declared = [(column, "gate.slices.columns") for column in config.gate.slices.columns]
    if config.data.id_column is not None:
        declared.append((config.data.id_column, "data.id_column"))
    problems = []
    for name, source in sources.by_name.items():
        found = source.columns() if declared else []
        for column, key in declared:
            if column not in found:
                message = _(
                    "expected a column {column!r}, found {found}",
                    column=column,
                    found=quote_names(found),
                )
                problems.append(Problem(name, message, _("see {key}", key=key)))
    if problems:
        raise DataError(problems)


def _by_length(columns: list[list[str]]) -> dict[str, Mask]:
    """Three groups of about equal size by the characters of all inputs together."""
    lengths = np.array([sum(map(len, texts)) for texts in zip(*columns, strict=True)])
    if not len(lengths):
        return {}
    group = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3]), lengths, side="left")
    return {
        f"length: {name}": group == at for at, name in enumerate(LENGTHS) if (group == at).any()
    }


def _languages(texts: list[str], config: Pipeline) -> list[str]:
    declared = config.language.source
    return [other or declared for other in Detector(declared).wrong(texts)]


def _by_value(name: str, values: list[str], least: int) -> dict[str, Mask]:
    counts = Counter(values)
    named = [value if counts[value] >= least else RARE for value in values]
    written = np.array(named, dtype=object)
    return {f"{name}: {value}": written == value for value in sorted(set(named))}
