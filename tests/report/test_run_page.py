"""The page about a run: what it says, what it stands, and how it looks in a real browser."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from tasks.report import run_page
from tests.support.browser import desk_page, shared_page
from tests.support.html import CONTRASTS, POINTS_OUTSIDE, SCRIPT, Document
from tests.support.records import LEAST, changes, gate, run_record

__all__ = ["desk_page", "shared_page"]


def rendered(**changes: Any) -> Document:
    return Document(run_page.render(run_record() | changes))


def words(page: Document) -> str:
    return " ".join(page.text.split())


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"promoted": True, "decision": "Promoted"}, "Promoted"),
        ({"promoted": False, "decision": "Waiting for approval"}, "Waiting for approval"),
        ({"promoted": False, "decision": "Not promoted"}, "Not promoted"),
    ],
)
def test_the_verdict_comes_first_and_in_words(changes: dict[str, Any], title: str) -> None:
    compared = gate() | {"reference": "models:/reviews/6"}
    names = {"verdict": "the verdict", "model": "models:/reviews/7", "alias": "challenger"}
    text = words(rendered(gate=compared, **names, **changes))
    told = f"{title} the verdict models:/reviews/7 is @challenger, "
    assert told + "compared with models:/reviews/6 on 1,200 rows Metrics" in text


def test_rows_that_the_champion_has_trained_on_are_counted() -> None:
    known = {"reference": "models:/reviews/6", "compared_rows": 1100, "seen_rows": 100}
    text = words(rendered(gate=gate() | known, model="models:/reviews/7"))
    assert "compared with models:/reviews/6 on 1,100 rows" in text
    assert "on 1,100 rows; the champion has trained on the other 100." in text


def test_metrics_stand_beside_those_of_the_champion_and_the_trivial_method() -> None:
    page = rendered(baseline={"name": "majority class", "accuracy": 0.5})
    assert page.tables["Test split, 1,200 rows"] == [
        ["Metric", "Value", "95% interval", "Champion", "Gain", "Its interval", "majority class"],
        [
            *("accuracy", "0.9100", "[0.8900, 0.9300]"),
            *("0.9000", "0.0100", "[-0.0050, 0.0250]", "0.5000"),
        ],
        ["log_loss", "0.2500", "", "–", "–", "", "–"],
    ]


def test_a_first_version_has_no_champion_to_stand_beside() -> None:
    for page in (rendered(gate=None), Document(run_page.render(run_record() | {"gate": {}}))):
        assert page.tables["Test split, 1,200 rows"][0] == [
            *("Metric", "Value", "95% interval", "text")
        ]
        assert "Gate" not in page.text
        assert "champion" not in page.text.lower()


def test_the_previous_run_stands_beside_this_one() -> None:
    page = rendered(changes=changes("a") | {"model": "models:/reviews/6", "drift": "no drift"})
    told = "run of models:/reviews/6, which ended 2026-11-23 10:59 UTC. Training rows: no drift."
    assert told in words(page)
    assert page.tables["Distinct rows, by their inputs"] == [
        ["Split", "Added", "From another split", "Gone"],
        ["training", "12", "1", "3"],
    ]
    assert page.table("Rows") == [["rows.train", "3,990", "4,000"]]
    assert page.table("Labels of the training rows") == [
        ["a", "1,990", "1,995"],
        ["a new new", "", "5"],
        ["a gone gone", "7", ""],
    ]
    assert page.table("Settings") == [["a", "a", "a"]]
    assert page.table("Test metrics") == [["accuracy", "0.9000*", "0.9100"]]
    assert "* of other test rows, so not comparable." in page.text


def test_metrics_of_the_same_test_rows_have_no_mark() -> None:
    page = rendered(changes=changes() | {"same_test_rows": True})
    assert page.table("Test metrics") == [["accuracy", "0.9000", "0.9100"]]
    assert "not comparable" not in page.text


def test_a_first_run_has_no_previous_one() -> None:
    text = "There is no previous run that registered a version."
    assert text in rendered(changes=None).text
    assert text not in rendered().text


def test_slices_and_checks_say_what_failed() -> None:
    page = rendered(headline="accuracy")
    assert page.table("Slices, by accuracy") == [
        ["text: short", "400", "0.9000", "0.9200", "0.0200", "passed"],
        ["text: long", "400", "0.9000", "0.9200", "0.0200", "fell too far"],
        ["text: middle", "9", "0.9000", "0.9200", "0.0200", "too few rows to judge"],
    ]
    assert page.table("Checks") == [["text", "passed", "text"], ["text again", "failed", "text"]]
    assert "McNemar's test on the same rows: p = 0.04." in page.text


def test_curves_have_words_and_a_table_beside_them() -> None:
    page = rendered()
    text = words(page)
    assert "Loss by optimizer step training, averaged: 0.7 at first, 0.0233 at last" in text
    assert "accuracy by optimizer step validation: 0.81 at first, 0.83 at last" in text
    steps = [0.7 / step for step in range(1, 31)]
    means = [sum(steps[start : start + 10]) / 10 for start in (0, 10, 20)]
    assert page.table("Validations") == [
        ["10", "1", f"{means[0]:.4f}", "0.6000", "0.8100", "yes"],
        ["20", "2", f"{means[1]:.4f}", "0.3000", "0.8200", "yes"],
        ["30", "3", f"{means[2]:.4f}", "0.2000", "0.8300", ""],
    ]


def test_curves_stay_inside_their_plane_however_long_the_training() -> None:
    steps = [[step, math.sin(step) + 2] for step in range(1, 100_001)]
    steps[500][1] = float("nan")
    page = rendered(history={"steps": steps, "validation": []})
    paths = [path for path in page.all("d") if path.startswith("M") and "L" in path]
    assert max(path.count("L") for path in paths) < 400
    numbers = [float(found) for path in paths for found in re.findall(r"-?[\d.]+", path)]
    assert 0 <= min(numbers) <= max(numbers) <= 100


def test_a_confusion_matrix_counts_and_shares() -> None:
    matrix = {"labels": ["bad", "good"], "counts": [[590, 10], [98, 502]]}
    page = rendered(matrix=matrix)
    assert page.table("Confusion matrix: labels down, predictions across") == [
        ["bad", "590 98.3%", "10 1.7%"],
        ["good", "98 16.3%", "502 83.7%"],
    ]
    many = {"labels": list("abcdefghijklmnopqrstuvwxyz"), "counts": [[1] * 26] * 26}
    assert "Confusion matrix" not in rendered(matrix=many).text


def test_mistakes_are_named_by_file_and_row() -> None:
    mistake = {"file": "a.csv", "row": 17, "labels": ["x", "y"], "predicted": [], "score": 0.98765}
    assert rendered(mistakes=[mistake]).table("Rows that the model got wrong") == [
        ["a.csv row 17", "x, y", "none", "0.9877"]
    ]


def test_the_cost_is_forecast_and_measured() -> None:
    page = rendered()
    assert page.table("Forecast and measured") == [
        ["text", "55.0 s", "1:02"],
        ["text", "–", "1.00 GiB"],
    ]
    assert [row[:4] for row in page.table("Stages of this run")] == [
        ["text", "computed", "1:01", "1:01"],
        ["text", "reused", "1:01", "1:01"],
    ]
    assert "3.21 ms" in page.text
    assert "91 MiB" in page.text
    assert "Energy" not in page.text


def test_the_energy_says_how_it_was_found() -> None:
    how = {"cpu": "estimated", "ram": "estimated", "gpu": "measured"}
    page = rendered(cost=run_record()["cost"] | {"energy": {"wh": 12.345, "how": how}})
    assert "Energy of the training12.3 Wh, processor and memory estimated, GPU" in words(page)


def test_any_part_may_be_missing_or_empty() -> None:
    whole = run_record()
    for key in whole.keys() - LEAST.keys():
        Document(run_page.render({name: whole[name] for name in whole if name != key}))
        Document(run_page.render(whole | {key: None}))
        Document(run_page.render(whole | {key: type(whole[key])()}))
    for key in gate():
        compared = {name: value for name, value in gate().items() if name != key}
        rendered(gate=compared)
        rendered(gate=gate() | {key: None})
    Document(run_page.render(LEAST))


def test_the_page_is_alone() -> None:
    page = Document(run_page.render(run_record("https://example.org/x.png")))
    links = {"run.contract.html", "index.html", "http://127.0.0.1:5000/#/experiments/1/runs/a"}
    outside = [value for name in POINTS_OUTSIDE for value in page.all(name)]
    assert {value for value in outside if value[0] != "#"} == links
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    style = page.html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_references_inside_the_page_lead_somewhere() -> None:
    page = rendered()
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.all("href") if link[0] == "#"} <= set(ids)
    assert {name for value in page.all("aria-labelledby") for name in value.split()} <= set(ids)


def test_tables_have_captions_and_their_headings_a_scope() -> None:
    page = rendered()
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@given(st.text(st.characters(), min_size=1, max_size=40))
def test_no_text_changes_the_page_around_it(text: str) -> None:
    page = Document(run_page.render(run_record(text + SCRIPT)))
    page.html.encode()
    plain = Document(run_page.render(run_record("text")))
    assert [(tag, list(names)) for tag, names in page.tags] == [
        (tag, list(names)) for tag, names in plain.tags
    ]


def show(page: Page, folder: Path, content: dict[str, Any]) -> str:
    file = folder / "report.html"
    file.write_text(run_page.render(content), "utf-8")
    page.goto(file.as_uri())
    return file.as_uri()


@pytest.mark.browser
@pytest.mark.parametrize("text", ["text", "w" * 300])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(page: Page, tmp_path: Path, text: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    show(page, tmp_path, run_record(text))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_text("Promoted", exact=True)).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page: Page, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    show(page, tmp_path, run_record())
    (texts, least_of_text), (shapes, least_of_shapes) = page.evaluate(CONTRASTS)
    assert texts > 100
    assert shapes > 4
    # WCAG 2.2, 1.4.3 and 1.4.11
    assert least_of_text >= 4.5
    assert least_of_shapes >= 3


@pytest.mark.browser
def test_light_and_dark_follow_the_system(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, LEAST)
    color = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(color)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(color) != light


@pytest.mark.browser
def test_the_browser_asks_for_nothing_but_the_page(page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    shown = show(page, tmp_path, run_record('<img src="https://example.org/x.png">'))
    page.wait_for_load_state("networkidle")
    assert asked == [shown]


@pytest.mark.browser
def test_a_reader_finds_the_curves_by_name(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, run_record())
    for name in ("Loss by optimizer step", "accuracy by optimizer step"):
        curve = page.get_by_role("img", name=re.compile(name))
        expect(curve).to_be_visible()
        box, plane = curve.bounding_box(), page.locator(".plane").first.bounding_box()
        assert box is not None
        assert plane is not None
        assert box["width"] > 0.8 * plane["width"]
