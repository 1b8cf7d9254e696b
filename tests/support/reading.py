"""Pipelines by the class of their application, from files and from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import reading
from configs.reading import Check
from configs.schema import Pipeline
from tasks.applications.registry import PIPELINES


def load(path: Path, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> Pipeline:
    """Read a pipeline file."""
    return reading.load(path, PIPELINES, overrides, checks)


def pipeline(record: Mapping[str, Any]) -> Any:
    """The pipeline of a record."""
    return PIPELINES[record["application"]].model_validate(record)
