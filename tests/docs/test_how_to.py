"""The pages about applications show data that their pipelines accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.run.reading import read
from tasks.applications import registry
from tasks.contract.sources import splits
from tasks.validation import validate
from tasks.workspace import Workspace
from tests.docs.markdown import DOCS, Block, blocks, place

PAGES = sorted((DOCS / "how-to").glob("*.md"))
SHOWN = {page: {block.title: block for block in blocks(page) if block.title} for page in PAGES}
PIPELINES = [
    pytest.param(page, block, id=f"{page.stem}-{name}")
    for page, files in SHOWN.items()
    for name, block in files.items()
    if block.language == "yaml"
]
FEW_ROWS = ("contract.min_rows_per_class=1", "contract.max_quarantined=0", "data.group_column=null")
"""A page shows a few rows: they are also those to validate and to test with."""


def test_every_application_has_a_page() -> None:
    assert {page.stem for page in PAGES} == set(registry.names())


@pytest.mark.parametrize(("page", "pipeline"), PIPELINES)
def test_the_rows_shown_fulfil_the_contract(page: Path, pipeline: Block, tmp_path: Path) -> None:
    for name, block in SHOWN[page].items():
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    file = tmp_path / pipeline.title
    (data,) = read(file, []).data.train
    same = (f"data.validation={data}", f"data.test={data}", "contract.rules.leakage=warn")
    config = read(file, [*FEW_ROWS, *same])
    validated = validate(config, Workspace.open(tmp_path / "home"), splits.locate(config.data))
    lines = SHOWN[page][data].text.splitlines()
    shown = len(lines) - data.endswith(".csv")
    assert validated.rows == dict.fromkeys(("train", "validation", "test"), shown)
    assert validated.quarantined == 0


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_page_has_the_same_parts(page: Path) -> None:
    titles = [line for line in page.read_text("utf-8").splitlines() if line.startswith("## ")]
    parts = ("Data", "Pipeline", "Run", "Metrics and baseline", "Predict", "Pitfalls")
    assert titles == [f"## {part}" for part in parts]
