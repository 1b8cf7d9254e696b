from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from configs.schema import Pipeline
from tasks.arrow import MappedTable
from tasks.champion import slices
from tasks.contract.sources import splits
from tasks.validation import ValidationResult, validate
from tasks.workspace import Workspace
from tests.support.rows import reviews

COUNTRIES = ("de", "fr", "", "de", "private@example.org")


def validated(folder: Path, **declared: Any) -> tuple[Pipeline, ValidationResult]:
    """Reviews with a country each, and the slices of the gate."""
    path = folder / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "country"])
        for at, (text, label) in enumerate(reviews()):
            writer.writerow([text, label, COUNTRIES[at % 4 if at else 4]])
    config = Pipeline.model_validate(
        {
            "name": "reviews",
            "application": "sentiment",
            "data": {"train": str(path), "validation": 0.2, "test": 0.5},
            "gate": {"slices": declared},
        }
    )
    found = validate(config, Workspace.open(folder / "mlruns"), splits.locate(config.data))
    return config, found


def found(config: Pipeline, of: ValidationResult) -> dict[str, slices.Mask]:
    rows = MappedTable(of.stored.path / "test.arrow")
    return slices.find(config, rows, of.facts.inputs, of.sources)


def test_every_row_is_in_one_slice_by_length(tmp_path: Path) -> None:
    config, of = validated(tmp_path)
    masks = found(config, of)
    assert list(masks) == ["length: short", "length: middle", "length: long"]
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    rows = MappedTable(of.stored.path / "test.arrow")
    lengths = [len(text) for text in rows.column("text").to_pylist()]
    longest = [
        max(n for n, inside in zip(lengths, mask, strict=True) if inside) for mask in masks.values()
    ]
    assert longest == sorted(longest)


def test_a_column_of_the_files_makes_slices_whose_rare_values_stay_unnamed(tmp_path: Path) -> None:
    config, of = validated(tmp_path, columns=("country",), length=False, min_rows=5)
    masks = found(config, of)
    assert set(masks) <= {"country: ", "country: de", "country: fr", "country: (rare)"}
    rows = MappedTable(of.stored.path / "test.arrow")
    for at, row in enumerate(rows.column("row").to_pylist()):
        expected = COUNTRIES[(row - 1) % 4 if row > 1 else 4]
        name = "country: (rare)" if row == 1 else f"country: {expected}"
        assert masks[name][at]


def test_languages_make_slices(tmp_path: Path) -> None:
    config, of = validated(tmp_path, language=True, length=False, min_rows=20)
    assert list(found(config, of)) == ["language: en"]


def test_a_column_that_no_file_has_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a column 'region', found 'text', 'label'"):
        validated(tmp_path, columns=("region",))
