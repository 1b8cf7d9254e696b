"""The site of the documentation in a real browser."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support import browser
from tests.support.site import build

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("site")]
SLOW_PAGE = 30_000


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the pages are served."""
    handler = functools.partial(Quiet, directory=str(build(tmp_path / "site")))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        return


def test_the_site_is_searched_without_the_network_and_follows_the_system(address: str) -> None:
    with browser.page() as page:
        expect.set_options(timeout=SLOW_PAGE)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.emulate_media(color_scheme="dark")
        page.goto(f"{address}/index.html")
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
        box = page.locator("input.md-search__input")
        box.click()
        # It first reads the index.
        expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching")
        box.press_sequentially("quarantine")
        found = page.locator(".md-search-result__item")
        expect(found.first).to_be_visible()
        assert found.count() > 2
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
