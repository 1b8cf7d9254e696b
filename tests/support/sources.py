"""Declared sources, read under the canonical columns of an application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import DataError
from configs.schema import Data
from tasks.applications import registry as applications
from tasks.contract.rows import layout as layouts
from tasks.contract.rows.layout import Layout
from tasks.contract.sources import splits
from tasks.contract.sources.base import Batch
from tasks.contract.sources.splits import Part, Sources

TOPICS = applications.get("topics")


def locate(folder: Path, **data: Any) -> Sources:
    return splits.locate(Data.model_validate(data).below(folder))


@dataclass
class Raw:
    """All batches of all parts."""

    layout: Layout
    parts: list[tuple[Part, list[Batch]]]

    def texts(self, split: str) -> list[Any]:
        return [text for frame in self._frames(split) for text in frame["text"]]

    def frame(self, split: str = "train") -> pd.DataFrame:
        return pd.concat(list(self._frames(split)), ignore_index=True)

    def _frames(self, split: str) -> Iterator[pd.DataFrame]:
        for part, batches in self.parts:
            if part.split == split:
                yield from (batch.frame() for batch in batches)


def read(folder: Path, **data: Any) -> Raw:
    section = Data.model_validate(data).below(folder)
    sources = splits.locate(section)
    layout = layouts.find_columns(section, TOPICS, sources)
    parts = splits.parts(sources)
    return Raw(layout, [(part, list(layouts.read(part, layout.mapping))) for part in parts])


def refused(folder: Path, **data: Any) -> list[str]:
    """The problems of sources, with the folder as HERE."""
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return [str(problem).replace(str(folder), "HERE") for problem in caught.value.problems]
