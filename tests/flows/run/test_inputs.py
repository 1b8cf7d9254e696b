"""What a run guesses about its files before it reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.run import inputs
from tests.support import reading


@pytest.mark.parametrize("touched", ["pipeline.yaml", "a.csv", "b.csv", None])
def test_files_that_are_newer_than_the_last_report_look_new(
    tmp_path: Path, touched: str | None
) -> None:
    file, page = tmp_path / "pipeline.yaml", tmp_path / "page.html"
    data = {"train": str(tmp_path / "*.csv")}
    for path in (file, page, tmp_path / "a.csv", tmp_path / "b.csv"):
        path.touch()
        os.utime(path, (1, 1))
    if touched:
        os.utime(tmp_path / touched, (2, 2))
    config = reading.pipeline({"name": "t", "application": "topics", "data": data})
    assert inputs.look_new(config, file, page) is (touched is not None)
    page.unlink()
    assert inputs.look_new(config, file, page)
