"""Pipelines by the class of their application, from files and from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from configs import reading
from configs.errors import ConfigError
from configs.reading import Check
from configs.schema import Pipeline
from tasks.applications.registry import PIPELINES

GOOD = """\
name: parcels
application: topics
data:
  train: train.csv
"""


def load(path: Path, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> Pipeline:
    """Read a pipeline file."""
    return reading.load(path, PIPELINES, overrides, checks)


def pipeline(record: Mapping[str, Any]) -> Any:
    """The pipeline of a record."""
    return PIPELINES[record["application"]].model_validate(record)


def problems(file: Path, text: str | bytes, *overrides: str) -> list[str]:
    """What is said about a file, its name left out."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, overrides)
    return [str(problem).replace(str(file), "FILE") for problem in caught.value.problems]


def loaded(file: Path, text: str, *overrides: str) -> Pipeline:
    """The pipeline of a text."""
    file.write_text(text, encoding="utf-8")
    return load(file, overrides)
