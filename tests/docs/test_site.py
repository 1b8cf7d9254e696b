"""The site of the documentation builds without a warning and asks no other host for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS
from tests.support.site import build

pytestmark = pytest.mark.xdist_group("site")

LOADED = {"src", "srcset", "data", "poster"}
REMOTE_STYLE = re.compile(r"url\(\s*['\"]?(?:https?:)?//|@import")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    return build(tmp_path_factory.mktemp("site"))


class Loads(HTMLParser):
    """Collects what a browser fetches by itself when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetched = LOADED | ({"href"} if tag == "link" else set())
        self.found += [value for name, value in attrs if name in fetched and value]


def test_every_page_is_built(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loads = Loads()
        loads.feed(text)
        assert loads.found, page
        assert [url for url in loads.found if re.match(r"(https?:)?//", url)] == [], page
        assert not REMOTE_STYLE.search(text), page
    for style in site.rglob("*.css"):
        assert not REMOTE_STYLE.search(style.read_text(encoding="utf-8")), style
