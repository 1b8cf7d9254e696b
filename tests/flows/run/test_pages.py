"""The pages about runs that are kept, and their index."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.run import pages
from tasks.workspace import Workspace
from tests.support.html import Document

CONTRACT: dict[str, Any] = {"pipeline": "reviews", "verdict": "passed", "rows": {"in": 3}}
ENTRY = {"decision": "Promoted", "verdict": "promoted", "headline": "accuracy", "value": 0.9}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


def draw(data: str, index: str) -> str:
    return f"{data} {index}"


def keep(workspace: Workspace, **changes: Any) -> Path:
    given: dict[str, Any] = {"entry": ENTRY, "contract": CONTRACT, "draw": draw} | changes
    return pages.keep(workspace, "reviews", "0a1b2c3d4e", **given)


def listed(workspace: Workspace) -> list[str]:
    """The pages that the index leads to."""
    page = Document((workspace.root / "reports" / "reviews" / "index.html").read_text("utf-8"))
    return page.all("href")


def test_every_run_keeps_its_pages(workspace: Workspace) -> None:
    first, second = keep(workspace), keep(workspace)
    assert first.name < second.name
    assert re.fullmatch(r"\d{8}T\d{6}Z-0a1b2c3d\.html", first.name)
    data = first.name.replace(".html", ".contract.html")
    assert first.read_text("utf-8") == f"{data} index.html"
    assert "reviews: data contract passed" in (first.parent / data).read_text("utf-8")
    assert listed(workspace) == [second.name, first.name]


def test_the_page_of_the_latest_run_has_a_name_of_its_own(workspace: Workspace) -> None:
    for _ in range(2):
        name = keep(workspace).name.replace(".html", ".contract.html")
    latest = workspace.root / "reports" / "reviews.run.html"
    assert latest.read_text("utf-8") == f"reviews/{name} reviews/index.html"


def test_runs_that_end_at_once_are_all_listed(workspace: Workspace) -> None:
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: keep(workspace), range(12)))
    assert listed(workspace) == sorted((page.name for page in kept), reverse=True)
    assert len(set(kept)) == 12


def test_a_run_without_a_result_is_listed_with_its_data(workspace: Workspace) -> None:
    entry = {"decision": "Refused", "verdict": "a.csv row 2: <b>"}
    page = keep(workspace, entry=entry, draw=None)
    assert listed(workspace) == [page.name]
    assert page.name.endswith(".contract.html")
    keep(workspace, entry=entry, draw=None, contract={})
    assert listed(workspace) == [page.name]
    text = (page.parent / "index.html").read_text("utf-8")
    assert text.count("a.csv row 2: &lt;b&gt;") == 2
    assert not (workspace.root / "reports" / "reviews.run.html").exists()


def test_the_page_of_an_earlier_version_of_onestep_stays(workspace: Workspace) -> None:
    old = workspace.root / "reports" / "reviews.run.html"
    old.parent.mkdir()
    old.write_text("the old page", "utf-8")
    keep(workspace, draw=None)
    for _ in range(2):
        keep(workspace)
    assert old.with_name("reviews.run.earlier.html").read_text("utf-8") == "the old page"
    assert "index.html" in old.read_text("utf-8")
