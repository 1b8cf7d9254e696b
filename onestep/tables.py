"""Tables of pandas, polars, pyarrow and datasets as Arrow, stored in a home, and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from configs.errors import DataError, Problem
from configs.language import _
from tasks.store import commit_folder, file_digest, lock, storage_errors
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import pyarrow as pa


class ArrowTable(Protocol):
    """A table that exports its columns as Arrow, such as a polars data frame."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the columns by Arrow's C stream interface."""


Table: TypeAlias = "pd.DataFrame | pa.Table | datasets.Dataset | ArrowTable"
Row: TypeAlias = dict[str, Any]
FOLDER = "tables"
DIGITS = 32
ONE_COLUMN = ("Series", "ChunkedArray")
"""Classes of Arrow data that are one column without a name."""


def library(value: object) -> str:
    """The package that the class of a value comes from."""
    return type(value).__module__.partition(".")[0]


def is_table(value: object) -> bool:
    """Whether a value is a table that :func:`to_arrow` reads."""
    name = type(value).__name__
    known = (library(value), name) == ("datasets", "Dataset")
    return known or (hasattr(value, "__arrow_c_stream__") and name not in ONE_COLUMN)


def to_arrow(table: Any, where: str) -> pa.Table:
    """The rows as an Arrow table of plain columns.

    An index of pandas is left out, and class labels of ``datasets`` become their names.

    Args:
        table: rows in columns.
        where: the name of the table in errors.

    Raises:
        DataError: not a table, or a column has values of several types.
    """
    import pyarrow as pa

    if not is_table(table):
        message = _(
            "expected a pandas or polars data frame, a pyarrow table or a datasets.Dataset, "
            "found {found}",
            found=type(table).__name__,
        )
        raise DataError.at(where, message)
    if library(table) == "pandas" and not table.columns.is_unique:
        repeated = ", ".join(sorted({str(n) for n in table.columns[table.columns.duplicated()]}))
        message = _(
            "each column needs a name of its own, found twice: {repeated}", repeated=repeated
        )
        raise DataError.at(where, message, _("rename or drop one of them"))
    try:
        if library(table) == "pandas":
            found = pa.Table.from_pandas(table, preserve_index=False)
        elif library(table) == "datasets":
            found = _from_dataset(table)
        else:
            found = pa.table(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Arrow's own message may quote a value.
        raise DataError(_mixed(table, where)) from None
    return _plain(found)


def _mixed(table: Any, where: str) -> list[Problem]:
    """A problem for each column that Arrow cannot convert."""
    import pyarrow as pa

    problems = []
    for name in map(str, table.columns):
        try:
            pa.array(table[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError):
            advice = _("convert it, for example with .astype(str)")
            problems.append(
                Problem(where, _("column {name!r} has values of several types", name=name), advice)
            )
    return problems or [Problem(where, _("Arrow cannot convert the table"))]


def _from_dataset(dataset: datasets.Dataset) -> pa.Table:
    """The rows of a data set, with class labels as text."""
    table = dataset.with_format("arrow")[:]
    for at, (name, feature) in enumerate(dataset.features.items()):
        if names := getattr(getattr(feature, "feature", feature), "names", None):
            column = [_named(value, names) for value in table[name].to_pylist()]
            table = table.set_column(at, name, [column])
    return table


def _named(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return None if value is None or value < 0 else names[value]


def _plain(table: pa.Table) -> pa.Table:
    """Columns without dictionaries and views, and a schema without metadata."""
    for at, name in enumerate(table.column_names):
        table = table.set_column(at, name, _plain_column(table[name]))
    return table.replace_schema_metadata(None)


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    from pyarrow import types

    encoded = types.is_dictionary(column.type)
    kind = column.type.value_type if encoded else column.type
    if types.is_string_view(kind):
        kind = pa.large_string()
        if encoded:
            # A dictionary of views cannot be decoded at once.
            column = column.cast(pa.dictionary(column.type.index_type, kind))
    return column.cast(kind)


def keep(table: pa.Table, name: str, workspace: Workspace) -> Path:
    """Write a table to ``NAME.parquet`` below the home, in a folder named by its content.

    The same rows give the same file, whichever library they come from.
    """
    import pyarrow.parquet as pq

    with storage_errors(), TemporaryDirectory(dir=workspace.temporary) as scratch:
        folder = Path(scratch) / FOLDER
        folder.mkdir()
        partial = folder / f"{name}.parquet"
        pq.write_table(table.combine_chunks(), partial, store_schema=False)
        final = workspace.root / FOLDER / file_digest(partial)[:DIGITS]
        with lock(workspace.locks / f"{FOLDER}.lock"):
            final.parent.mkdir(exist_ok=True)
            if not (final / partial.name).exists():
                commit_folder(folder, final)
        return final / partial.name


def records(table: Any, where: str) -> tuple[pa.Table | None, list[str], list[Row]]:
    """A table as Arrow, its column names, and its rows as dicts.

    Pandas has no Arrow here, since its columns may have values of several types.

    Raises:
        DataError: not a table, or two columns have one name.
    """
    if library(table) == "pandas":
        named = table.set_axis(map(str, table.columns), axis=1)
        if twice := sorted(set(named.columns[named.columns.duplicated()])):
            raise DataError.at(
                where, _("two columns have the name {twice!r}", twice=twice[0]), _("rename one")
            )
        return None, list(named.columns), named.to_dict("records")
    arrow = to_arrow(table, where)
    return arrow, arrow.column_names, arrow.to_pylist()


def with_columns(table: Any, arrow: pa.Table | None, columns: Mapping[str, list[Any]]) -> Any:
    """Add columns to a table of a known library, or to the same rows of ``arrow`` as pandas."""
    import pandas as pd

    if library(table) == "pandas" or arrow is None:
        return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)
    for name, values in columns.items():
        arrow = arrow.append_column(name, [values])
    if library(table) == "pyarrow":
        return arrow
    if library(table) == "polars":
        return sys.modules["polars"].from_arrow(arrow)
    if library(table) == "datasets":
        return type(table)(arrow)
    return arrow.to_pandas()
