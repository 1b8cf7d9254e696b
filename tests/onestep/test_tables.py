"""Tables of every accepted library become the same file, and come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import DataError
from onestep import tables
from tasks.workspace import Workspace

ROWS = {"text": ["good", None, "bad"], "label": ["positive", "positive", "negative"]}
CLASSES = datasets.ClassLabel(names=["negative", "positive"])
SECRET = "xylophone"


class Foreign:
    """A table of a library that nobody has heard of."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.table(ROWS).__arrow_c_stream__(requested_schema)


def indexed() -> pd.DataFrame:
    return pd.DataFrame(ROWS, index=[7, 3, 5]).astype({"label": "category"})


def labelled() -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "label": CLASSES})
    reordered = {"text": ["bad", "good", None], "label": [0, 1, 1]}
    return datasets.Dataset.from_dict(reordered, features).select([1, 2, 0])


TABLES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "an index and categories": indexed,
    "polars": lambda: pl.DataFrame(ROWS),
    "polars categories": lambda: pl.DataFrame(ROWS, schema_overrides={"label": pl.Categorical}),
    "pyarrow": lambda: pa.table(ROWS),
    "pyarrow chunks": lambda: pa.concat_tables([pa.table(ROWS)[:1], pa.table(ROWS)[1:]]),
    "datasets": lambda: datasets.Dataset.from_dict(ROWS),
    "datasets with class labels": labelled,
    "Arrow stream": Foreign,
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


@pytest.mark.parametrize("name", TABLES)
def test_the_same_rows_are_the_same_file(name: str, workspace: Workspace) -> None:
    expected = tables.keep(tables.to_arrow(pa.table(ROWS), "data"), "train", workspace)
    found = tables.keep(tables.to_arrow(TABLES[name](), "data"), "train", workspace)
    assert found == expected
    assert pq.read_table(found).to_pydict() == ROWS


def test_other_rows_are_another_file_and_nothing_is_left_behind(workspace: Workspace) -> None:
    first = tables.keep(pa.table(ROWS), "train", workspace)
    second = tables.keep(pa.table(ROWS)[:2], "train", workspace)
    assert first.name == second.name == "train.parquet"
    assert len(list((workspace.root / "tables").iterdir())) == 2
    assert list(workspace.temporary.iterdir()) == []


def test_lists_of_class_labels_become_lists_of_names() -> None:
    features = datasets.Features({"labels": datasets.List(CLASSES)})
    table = datasets.Dataset.from_dict({"labels": [[0, 1], []]}, features)
    assert tables.to_arrow(table, "data").to_pydict() == {"labels": [["negative", "positive"], []]}


@pytest.mark.parametrize("value", ["reviews.csv", [{"text": "a"}], 3, None], ids=str)
def test_what_is_no_table_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="data: expected a pandas or polars data frame"):
        tables.to_arrow(value, "data")


def test_a_column_that_is_there_twice_is_named() -> None:
    table = pd.DataFrame([["a", "b", 1]], columns=["text", "text", "label"])
    with pytest.raises(DataError, match=r"data: each column .* twice: text"):
        tables.to_arrow(table, "data")


def test_a_column_of_several_types_is_named_without_its_text() -> None:
    mixed = pd.DataFrame({"text": ["a", "b"], "label": [SECRET, 2]})
    with pytest.raises(DataError, match="column 'label' has values of several types") as caught:
        tables.to_arrow(mixed, "data")
    assert SECRET not in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("pyarrow", pa.Table),
        ("datasets", datasets.Dataset),
        ("Arrow stream", pd.DataFrame),
    ],
)
def test_columns_are_added_in_the_tables_own_library(name: str, kind: type) -> None:
    given = TABLES[name]()
    arrow = tables.to_arrow(given, "rows")
    found = tables.with_columns(given, arrow, {"score": [0.1, 0.2, 0.3]})
    assert isinstance(found, kind)
    assert tables.to_arrow(found, "rows").to_pydict() == ROWS | {"score": [0.1, 0.2, 0.3]}


def test_a_pandas_index_stays() -> None:
    given = indexed()
    found = tables.with_columns(given, tables.to_arrow(given, "rows"), {"score": [1, 2, 3]})
    assert list(found.index) == [7, 3, 5]
