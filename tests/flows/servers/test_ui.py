"""What a person sees after a run, in a real browser."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support import browser
from tests.support.commands import eventually, onestep, started, succeed
from tests.support.homes import NAME, Finished

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("interfaces")]
STAGES = ("validation", "tokenization", "fine-tuning", "evaluation", "registration")
SLOW_PAGE = 30_000
RUN_NAME = re.compile(rf"^{NAME}-[0-9a-f]{{8}}-manual$")


@pytest.fixture(scope="module")
def addresses(finished: Finished) -> Iterator[dict[str, str]]:
    """Both interfaces of a home in which the pipeline ran twice."""
    succeed(finished.home, "run", finished.file)
    with started(finished.home, "ui", "--json", "--mlflow-port", str(_free_port())) as running:
        eventually(lambda: running.out.read_text("utf-8").endswith("}\n"), running)
        yield json.loads(running.out.read_text("utf-8"))


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a real browser."""
    with browser.page() as opened:
        opened.set_default_timeout(SLOW_PAGE)
        expect.set_options(timeout=SLOW_PAGE)
        yield opened


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _open_run(page: Page, prefect: str, which: int) -> None:
    """Go to a run of the pipeline from the list of runs: 0 is the newest, -1 the oldest."""
    page.goto(f"{prefect}/runs")
    page.get_by_role("link", name=RUN_NAME).first.wait_for()
    page.get_by_role("link", name=RUN_NAME).nth(which).click()
    expect(page.get_by_text("5 Task runs").first).to_be_visible()


def test_prefect_shows_the_stages_and_which_were_reused(
    page: Page, addresses: dict[str, str]
) -> None:
    _open_run(page, addresses["prefect"], 0)
    page.get_by_text("Task Runs", exact=True).first.click()
    for stage in STAGES:
        expect(page.get_by_role("link", name=re.compile(f"^{stage}-")).first).to_be_visible()
    expect(page.get_by_text("Reused", exact=True)).to_have_count(len(STAGES))


def test_prefect_shows_the_progress_of_the_training(page: Page, addresses: dict[str, str]) -> None:
    _open_run(page, addresses["prefect"], -1)
    page.get_by_text("Artifacts", exact=True).last.click()
    expect(page.get_by_text("fine-tuning, all steps done").first).to_be_visible()


def test_prefect_shows_the_results_and_leads_to_mlflow(
    page: Page, addresses: dict[str, str]
) -> None:
    _open_artifact(page, addresses["prefect"], f"{NAME}-results")
    expect(page.get_by_text("accuracy", exact=True).first).to_be_visible()
    expect(page.get_by_text("macro_f1").first).to_be_visible()
    _open_artifact(page, addresses["prefect"], f"{NAME}-mlflow-run")
    link = page.get_by_role("link", name="MLflow run").first
    assert "/#/experiments/" in (link.get_attribute("href") or "")


def _open_artifact(page: Page, prefect: str, key: str) -> None:
    page.goto(f"{prefect}/artifacts/key/{key}")
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def test_mlflow_shows_metrics_and_leads_to_prefect(
    page: Page, addresses: dict[str, str], finished: Finished
) -> None:
    path = finished.record["mlflow_run"].partition("/#/")[2]
    page.goto(f"{addresses['mlflow']}/#/{path}")
    expect(page.get_by_text("test/accuracy", exact=True).first).to_be_visible()
    expect(page.get_by_text("train/loss", exact=True).first).to_be_visible()
    expect(page.get_by_text("Finished").first).to_be_visible()
    link = page.get_by_role("link", name=RUN_NAME).and_(page.locator("a[href*='/runs/flow-run/']"))
    expect(link.first).to_be_visible()


def test_mlflow_shows_the_registered_champion(page: Page, addresses: dict[str, str]) -> None:
    page.goto(f"{addresses['mlflow']}/#/models/{NAME}")
    expect(page.get_by_text("Version 1").first).to_be_visible()
    expect(page.get_by_text("champion").first).to_be_visible()


def test_a_taken_port_is_the_users_mistake(finished: Finished) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = onestep(finished.home, "ui", "--mlflow-port", port)
    assert done.code == 2
    assert f"port {port} is taken" in done.err
