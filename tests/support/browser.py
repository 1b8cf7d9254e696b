"""A real browser for the pages that a person looks at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def shared_page() -> Iterator[Page]:
    """A page that the tests of a module share."""
    with page() as opened:
        yield opened


@pytest.fixture(name="page")
def desk_page(shared_page: Page) -> Page:
    """A page of a real browser, as wide as a desk's."""
    shared_page.set_viewport_size({"width": 1280, "height": 800})
    shared_page.emulate_media(media="screen", color_scheme="light")
    return shared_page


@contextmanager
def page() -> Iterator[Page]:
    """An empty page; the system's browser if there is one, else Playwright's own."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=SWITCHES)
        try:
            yield browser.new_page(viewport={"width": 1400, "height": 1200})
        finally:
            browser.close()
