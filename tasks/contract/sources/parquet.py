"""Parquet files, plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.language import english
from tasks.contract.sources import text_files
from tasks.contract.sources.arrow import ARROW_BATCH, ArrowSource
from tasks.contract.sources.base import FileSource

if TYPE_CHECKING:
    import pyarrow as pa


class Parquet(FileSource, ArrowSource):
    """A Parquet file."""

    def columns(self) -> list[str]:
        names = list(self._open().schema_arrow.names)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            message = english(
                "each column needs a name of its own, found twice: {repeated}",
                repeated=", ".join(repeated),
            )
            raise DataError.at(self.place, message, english("rename or delete one of them"))
        return names

    def record_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        self.columns()
        # A dot in a name means a nested field to the reader.
        plain = columns if columns and not any("." in name for name in columns) else None
        try:
            yield from self._open().iter_batches(ARROW_BATCH, columns=plain)
        except (pa.ArrowException, OSError):
            message = english("the Parquet data is damaged or cut off")
            raise DataError.at(self.place, message) from None

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if text_files.is_zipped(self.path):
                with text_files.binary(self.path) as stream:
                    return pq.ParquetFile(pa.BufferReader(stream.read()))
            return pq.ParquetFile(self.path, memory_map=True)
        except (pa.ArrowInvalid, OSError):
            raise DataError.at(self.place, english("not a Parquet file, or cut off")) from None
