"""JSON Lines: one JSON object per line, plain or gzip."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tasks.contract.sources import blocks, text_files
from tasks.contract.sources.base import BLOCK_BYTES, Block, FileSource, Rows, Unreadable
from tasks.contract.sources.json_document import first_columns, is_unicode


class JsonLines(FileSource):
    """A file with one JSON object per line."""

    same_columns = False

    def columns(self) -> list[str]:
        """The keys of the first object."""
        return first_columns(self, "one JSON object a line")

    def rows(self, block: Block | None = None) -> Rows:
        """Each object; another line that is not blank cannot be read."""
        with text_files.text(self.path, block) as stream:
            for number, line in enumerate(filter(str.strip, stream), 1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    yield Unreadable(number, "not valid JSON", line.rstrip("\r\n"))
                    continue
                if "\\u" in line and not is_unicode(row):
                    yield Unreadable(number, "half of a surrogate pair", line.rstrip("\r\n"))
                elif isinstance(row, dict):
                    yield number, row
                else:
                    yield Unreadable(number, "expected a JSON object", line.rstrip("\r\n"))

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Blocks of whole lines."""
        if blocks.is_divisible(self.path, size):
            yield from blocks.cut(self.path, size)
