"""The passes of validation over files of a folder, up to the checks across rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Application
from tasks.contract.passes import cross_row_checks, first_pass
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.passes.first_pass import FirstPassResult, Folders
from tasks.contract.rows import layout as layouts
from tasks.contract.sources.json_files import JsonLines
from tasks.contract.sources.splits import SPLITS, Sources
from tests.support.tables import Row, pipeline, write_table


@dataclass(frozen=True)
class Checked:
    """Declared files after the checks across rows."""

    config: Pipeline
    application: Application
    sources: Sources
    first: FirstPassResult
    result: CrossRowResult


def check(
    folder: Path,
    rows: Mapping[str, Sequence[Row]],
    data: Mapping[str, Any] | None = None,
    **contract: Any,
) -> Checked:
    """Write the rows of each split as JSON Lines, and check them; other splits are fractions."""
    for split, some in rows.items():
        write_table(folder / f"{split}.jsonl", some)
    names = {split: f"{split}.jsonl" for split in rows}
    config = pipeline(folder, {**names, **(data or {})}, contract)
    found = {split: [JsonLines(folder / f"{split}.jsonl")] for split in SPLITS if split in rows}
    sources = Sources(found, {})
    application = applications.get(config.application)
    layout = layouts.find_columns(config.data, application, sources)
    folders = Folders(folder / "spool", folder / "rejected", folder / "fixes.jsonl")
    for scratch in (folders.spool, folders.rejected):
        scratch.mkdir()
    first = first_pass.check_rows(config, layout, sources, folders, 1)
    result = cross_row_checks.check(config, application, first)
    return Checked(config, application, sources, first, result)
